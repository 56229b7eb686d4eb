"""What is said over sockets: requests to a sandbox, orders to a launcher, the sockets handed to a service."""

from __future__ import annotations

import json
import os
import socket
import threading
from pathlib import Path

import pytest

from emulator.sandbox import SandboxError, inherited_listeners
from emulator.sandbox.answers import HOPELESS, Conversation, status, waited
from emulator.sandbox.control import ask, listen
from emulator.sandbox.init import InitConfig
from emulator.sandbox.openvswitch import Datapath, units
from emulator.sandbox.order import Order
from emulator.sandbox.pipes import Lines, Rendezvous, write_line
from emulator.sandbox.places import Process
from emulator.sandbox.services import Ready, Unit
from emulator.sandbox.supervisor import State, Supervisor

UNIT = Unit("u", ("u", "--x"), {"A": "b"}, Ready.NOTIFY, (), listens=True)


def test_a_request_may_come_in_pieces() -> None:
    ours, theirs = socket.socketpair()
    conversation = Conversation(theirs)
    assert conversation.receive() is None
    ours.send(b'{"do": ')
    assert conversation.receive() is None
    ours.send(b'"status"}\nrest')
    assert conversation.receive() == {"do": "status"}
    conversation.send({"ok": 1})
    assert ours.recv(100) == b'{"ok": 1}\n'
    ours.close()


@pytest.mark.parametrize("junk", [b"no json\n", b"[1]\n", b"\xff\n"])
def test_junk_is_an_empty_request(junk: bytes) -> None:
    ours, theirs = socket.socketpair()
    ours.send(junk)
    conversation = Conversation(theirs)
    assert conversation.receive() == {}
    ours.close()
    conversation.close()


def test_an_asker_who_hangs_up_ends_the_conversation() -> None:
    ours, theirs = socket.socketpair()
    conversation = Conversation(theirs)
    ours.close()
    assert conversation.receive() is None
    assert conversation.ended
    conversation.send({})


def test_asking_over_a_path_that_is_too_long_for_an_address(tmp_path: Path) -> None:
    path = tmp_path / ("d" * 200) / "control.sock"
    path.parent.mkdir()
    listener = listen(path)

    def answer() -> None:
        connection, _ = listener.accept()
        with connection, connection.makefile() as lines:
            connection.sendall(json.dumps({"heard": json.loads(lines.readline())}).encode() + b"\n")

    thread = threading.Thread(target=answer)
    thread.start()
    assert ask(path, {"do": "x"}, timeout=5) == {"heard": {"do": "x"}}
    thread.join()
    listener.close()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(ConnectionRefusedError):
        ask(path, {}, timeout=5)


def test_waiting_ends_with_readiness_or_with_hopelessness() -> None:
    supervisor = Supervisor([UNIT])
    life = supervisor.lives["u"]
    assert waited(life, 0) is None
    supervisor.started("u", 7, 0)
    assert waited(life, 0) is None
    supervisor.notified("u", ["READY=1"])
    assert waited(life, 0) == {"state": "ready", "pid": 7, "restarts": 0, "lastExit": None, "status": ""}
    assert waited(life, 1) is None
    for _ in range(HOPELESS):
        supervisor.started("u", 7, 0)
        supervisor.exited("u", 3, 0)
    answer = waited(life, 1)
    assert answer is not None
    assert (answer["state"], answer["lastExit"]) == (State.CRASHED, 3)
    assert status(supervisor) == {"services": {"u": answer}}


def test_an_order_and_a_configuration_are_read_back() -> None:
    order = Order(
        "n", "/r", "/s", "/py", "/p", (UNIT,), ("u",), ("/c",), ("/h",), {"E": "1"}, Process.of(os.getpid())
    )
    assert Order.load(json.loads(order.dump())) == order
    config = InitConfig("n", (UNIT,), ("u",), {"E": "1"}, 1, (2, 3), 4, 5)
    assert InitConfig.load(config.dump()) == config


def test_lines_come_whole() -> None:
    hear, say = os.pipe()
    lines = Lines(hear)
    write_line(say, {"a": 1})
    os.write(say, b'{"b": 2}\n{"c"')
    assert lines.read() == [{"a": 1}, {"b": 2}]
    os.write(say, b": 3}\n")
    assert lines.read() == [{"c": 3}]
    os.close(say)
    assert lines.read() == []
    assert lines.ended
    os.close(hear)


def test_a_rendezvous_tells_when_the_other_side_is_gone() -> None:
    ours, theirs = Rendezvous.pair()
    ours.say(b"x")
    assert theirs.hear() == b"x"
    ours.close()
    with pytest.raises(EOFError):
        theirs.hear()
    theirs.close()


def test_a_process_that_inherited_nothing_has_no_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MININETES_LISTENERS", raising=False)
    assert inherited_listeners() == ()


def test_offload_is_a_setting_that_precedes_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.sandbox.openvswitch.schema", lambda: "/schema")
    monkeypatch.setattr("emulator.sandbox.openvswitch.has_kernel_datapath", lambda: True)
    by_name = {unit.name: unit for unit in units(Datapath.NETDEV, offload=True)}
    assert "other_config:userspace-tso-enable=true" in by_name["ovs-settings"].argv
    assert by_name["ovs-vswitchd"].after == ("ovs-settings",)
    assert "--disable-system" in by_name["ovs-vswitchd"].argv
    kernel = {unit.name: unit for unit in units(Datapath.KERNEL, offload=False)}
    assert "--disable-system" not in kernel["ovs-vswitchd"].argv
    Supervisor(list(by_name.values()))


def test_a_datapath_that_the_kernel_lacks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emulator.sandbox.openvswitch.has_kernel_datapath", lambda: False)
    with pytest.raises(SandboxError, match="no openvswitch module") as caught:
        units(Datapath.KERNEL, offload=False)
    assert "modprobe openvswitch" in caught.value.hint

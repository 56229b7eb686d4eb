"""A sandbox comes, works, is found by others, and goes without a trace."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from emulator.sandbox import Sandbox, SandboxError, ServiceSpec, find, launch
from emulator.sandbox import all as running
from tests.system.host import await_end, files, members, namespaces_in_use, namespaces_of, now, state
from tests.system.inside import add_bridge, out, run

pytestmark = pytest.mark.sandbox

Launch = Callable[..., Sandbox]


def test_open_vswitch_answers_when_launch_returns(sandbox: Sandbox) -> None:
    assert (
        out(
            sandbox,
            "ovs-vsctl --timeout=1 add-br b -- set bridge b datapath_type=netdev && ovs-vsctl list-br",
        )
        == "b"
    )
    assert out(sandbox, "ovs-appctl version").startswith("ovs-vswitchd")


def test_nothing_is_left_after_stop(clusters_home: Path) -> None:
    before = state()
    sandbox = launch("gone")
    add_bridge(sandbox, "b")
    out(sandbox, "ip netns add n && ip link add v type veth peer w")
    namespaces = namespaces_of(sandbox.pid) - namespaces_of(os.getpid())
    assert len(namespaces) >= 6
    moment = now()
    sandbox.stop()
    assert members(clusters_home) == set()
    assert not namespaces & namespaces_in_use(before=moment)
    assert list(clusters_home.iterdir()) == []
    assert state() == before
    assert not sandbox.alive()
    sandbox.stop()


def test_only_the_loopback_interface_is_there_and_up(sandbox: Sandbox) -> None:
    assert out(sandbox, "ls /sys/class/net; cat /proc/net/dev | wc -l; hostname").split() == [
        "lo",
        "3",
        "test",
    ]
    assert "LOWER_UP" in out(sandbox, "ip link show lo")


def test_find_and_all_see_it_from_another_process(sandbox: Sandbox) -> None:
    script = (
        "from emulator.sandbox import all, find; print([s.name for s in all()], find('test').pid, find('no'))"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert other.stdout.split() == ["['test']", str(sandbox.pid), "None"]


def test_a_second_one_of_the_same_name_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="'test' is already there") as caught:
        launch("test")
    assert "mininetes down --name test" in caught.value.hint
    assert out(sandbox, "echo unharmed") == "unharmed"


def test_it_dies_with_the_process_that_launched_it_unless_detached(clusters_home: Path) -> None:
    script = "from emulator.sandbox import launch; kept = launch('kept'); launch('lost'); kept.detach()"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    kept = find("kept")
    assert kept is not None
    with kept:
        await_end(clusters_home / "lost")
        assert [sandbox.name for sandbox in running()] == ["kept"]
        assert out(kept, "echo alive") == "alive"
    await_end(clusters_home)
    assert files(clusters_home) == []


def test_a_stale_record_is_not_believed(clusters_home: Path) -> None:
    with launch("stale") as sandbox:
        record = (sandbox.run_dir / "state.json").read_text()
    (clusters_home / "stale").mkdir()
    (clusters_home / "stale" / "state.json").write_text(record)
    assert find("stale") is None
    with launch("stale") as again:
        assert again.alive()


def test_four_with_the_same_names_inside_do_not_meet(launched: Launch) -> None:
    with ThreadPoolExecutor(4) as pool:
        boxes = list(pool.map(launched, ["one", "two", "three", "four"]))
    listen = "import socket; s = socket.create_server(('127.0.0.1', 6653)); print(s.getsockname()[1])"
    for number, box in enumerate(boxes):
        add_bridge(box, "n1")
        out(box, "ip netns add pod")
        out(box, f"echo {number} > /tmp/mark; echo {number} > $MININETES_RUN/mark")
        assert out(box, f'python -c "{listen}"') == "6653"
    for number, box in enumerate(boxes):
        assert out(box, "cat /tmp/mark $MININETES_RUN/mark; ovs-vsctl list-br; ls /run/netns").split() == [
            str(number),
            str(number),
            "n1",
            "pod",
        ]
    assert [box.name for box in running()] == ["four", "one", "three", "two"]


ECHO = """
import socket, sys
from emulator.sandbox import inherited_listeners
outer, inner = inherited_listeners()
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
import os, selectors
notify.sendto(b"READY=1\\nSTATUS=serving", os.environ["NOTIFY_SOCKET"])
selector = selectors.DefaultSelector()
for listener in (outer, inner):
    selector.register(listener, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        connection, _ = key.fileobj.accept()
        word = connection.recv(100)
        if word == b"die":
            os._exit(1)
        connection.sendall(word.upper() + str(os.getpid()).encode())
        connection.close()
"""


def ask(path: Path, word: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(10)
        client.connect(str(path))
        client.sendall(word)
        return client.recv(100)


def test_clients_wait_through_the_restart_of_a_service(launched: Launch) -> None:
    echo = ServiceSpec("echo", (sys.executable, "-c", ECHO), notify=True, listens=True)
    box = launched("serving", services=[echo])
    box.wait("echo", timeout=20)
    assert box.services()["echo"]["status"] == "serving"
    assert box.socket.stat().st_mode & 0o777 == 0o600
    assert box.socket.stat().st_uid == os.getuid()
    first = ask(box.socket, b"hello")
    assert first.startswith(b"HELLO")
    assert ask(box.socket, b"die") == b""
    second = ask(box.socket, b"hello")
    assert second.startswith(b"HELLO")
    assert second != first
    assert box.services()["echo"]["restarts"] == 1
    inner = "import socket; s = socket.socket(1); s.connect('/run/mininetes/api.sock')"
    inner += "; s.send(b'in'); print(s.recv(9))"
    assert "IN" in out(box, f'python -c "{inner}"')


def test_the_exit_code_and_the_environment_of_a_command(sandbox: Sandbox) -> None:
    assert sandbox.enter(["sh", "-c", "exit 7"]) == 7
    assert run(sandbox, "kill -9 $$").returncode in (-9, 137)
    assert out(sandbox, "id -u; id -G; pwd").split() == ["0", *out(sandbox, "id -G").split(), "/"]
    assert subprocess.run(
        sandbox.command(["env"], {"EXTRA": "a b"}), capture_output=True, text=True, check=True
    ).stdout.count("EXTRA=a b\n")


def test_a_service_that_cannot_start_is_named_with_its_log(launched: Launch) -> None:
    box = launched(
        "broken", services=[ServiceSpec("bad", ("sh", "-c", "echo no such luck; exit 3"), notify=True)]
    )
    with pytest.raises(SandboxError, match=r"bad crashes at its start \(exit code 3\)") as caught:
        box.wait("bad", timeout=20)
    assert "no such luck" in caught.value.log


def test_offload_is_set_before_the_switch_starts(launched: Launch) -> None:
    box = launched("fast", offload=True)
    assert out(box, "ovs-vsctl get Open_vSwitch . other_config:userspace-tso-enable") == '"true"'
    assert "Userspace TCP Segmentation Offloading support enabled" in out(
        box, "cat $OVS_LOGDIR/ovs-vswitchd.log"
    )


def test_a_long_state_directory_is_no_obstacle_but_a_long_socket_path_is_refused(
    clusters_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = clusters_home / ("x" * 120)
    monkeypatch.delenv("MININETES_HOME")
    monkeypatch.setenv("XDG_STATE_HOME", str(long))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(clusters_home))
    with launch("roomy") as box:
        assert out(box, "echo here") == "here"
        assert box.socket == clusters_home / "mininetes" / "roomy.sock"
    assert not (clusters_home / "mininetes").exists()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(long))
    with pytest.raises(SandboxError, match="longer than 107 bytes"):
        launch("cramped")

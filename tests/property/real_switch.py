"""One Open vSwitch for all random clusters: real flow tables and `ofproto/trace`, and no packet.

Its bridges are on the dummy datapath, which is the userspace datapath without interfaces, so that it runs as
any user and needs no sandbox. Each topology has bridges of its own, which get one cluster's programs after
another's.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from controllers import unixctl
from controllers.pipeline.diff import Change, diff
from controllers.pipeline.flow import FlowProgram
from controllers.pipeline.tables import by_number
from emulator.cluster.ipam import pod_port
from emulator.cluster.wiring import Bridge, Wiring
from emulator.sandbox.openvswitch import schema
from tests.property.clusters import MOST_PODS

_OFCTL = ("ovs-ofctl", "-O", "OpenFlow13")
Text = str


class Switch:
    """The switch process, as far as these tests ask it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._installed: dict[str, FlowProgram] = {}
        self._topologies: dict[str, str] = {}
        """The prefix of each one's bridges."""

    def install(self, plan: Wiring, programs: Mapping[str, FlowProgram]) -> None:
        """Give the bridges of a topology these programs; those that have theirs already are left alone."""
        if plan.name not in self._topologies:
            self._topologies[plan.name] = f"t{len(self._topologies)}-"
            self._add_bridges(plan, programs)
        writing = []
        for bridge, program in programs.items():
            name = self._name(plan, bridge)
            change = diff(self._installed.get(name), program)
            self._installed[name] = program
            if change:
                writing.append((name, self._writer(name), "".join(f"{line}\n" for line in _lines(change))))
        for name, process, text in writing:
            _, complaint = process.communicate(text)
            assert process.returncode == 0, f"{name}: {complaint}"

    def ask(self, plan: Wiring, bridge: str, flow: str, states: tuple[str, ...]) -> Text:
        """One `ofproto/trace`."""
        following = [word for state in states for word in ("--ct-next", state)]
        return unixctl.command("ofproto/trace", self._name(plan, bridge), flow, *following)

    def asker(self, plan: Wiring) -> partial[Text]:
        """`ask` for one topology."""
        return partial(self.ask, plan)

    def _name(self, plan: Wiring, bridge: str) -> str:
        return self._topologies[plan.name] + bridge

    def _writer(self, name: str) -> subprocess.Popen[str]:
        argv = [*_OFCTL, "--bundle", "add-flows", self._management(name), "-"]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def _management(self, name: str) -> str:
        return f"unix:{self._directory}/{name}.mgmt"

    def _add_bridges(self, plan: Wiring, programs: Mapping[str, FlowProgram]) -> None:
        words: list[str] = []
        for bridge in plan.bridges:
            name = self._name(plan, bridge.name)
            words += ["--", "add-br", name, "--", "set", "bridge", name, "datapath_type=dummy"]
            words += ["fail_mode=secure", f"other_config:datapath-id={bridge.datapath_id:016x}"]
            for number in _ofports(plan, bridge):
                port = f"{name}-{number}"
                words += ["--", "add-port", name, port]
                words += ["--", "set", "interface", port, "type=dummy", f"ofport_request={number}"]
        run("ovs-vsctl", "--timeout=30", *words)
        for bridge in plan.bridges:
            for number, rate in programs[bridge.name].meters.items():
                band = f"meter={number},pktps,burst,band=type=drop,rate={rate},burst_size={rate}"
                run(*_OFCTL, "add-meter", self._management(self._name(plan, bridge.name)), band)


def _lines(change: Change) -> Iterator[Text]:
    """A change as ovs-ofctl takes it; what goes away goes first."""
    for flow in change.remove:
        yield "delete_strict " + flow.text(by_number).partition(" actions=")[0]
    for flow in (*change.add, *change.modify):
        yield "add " + flow.text(by_number)


def _ofports(plan: Wiring, bridge: Bridge) -> Iterator[int]:
    yield from (port.ofport for port in bridge.ports)
    for node in plan.nodes:
        if node.bridge == bridge.name:
            yield from (pod_port(plan, node.name, number + 2).ofport for number in range(MOST_PODS))


def run(*argv: str) -> None:
    """Run a command. Raises AssertionError with its complaint."""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(argv[:4])}: {done.stderr}"


@contextmanager
def switch(directory: Path) -> Iterator[Switch]:
    """Run Open vSwitch in `directory`, and end it."""
    ours = {name: str(directory) for name in ("OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR")}
    before = {name: os.environ.get(name) for name in ours}
    os.environ.update(ours)
    database, remote = str(directory / "conf.db"), f"{directory}/db.sock"
    started: list[subprocess.Popen[bytes]] = []
    try:
        run("ovsdb-tool", "create", database, schema())
        started.append(_daemon(directory, "ovsdb-server", database, f"--remote=punix:{remote}"))
        run("ovs-vsctl", f"--db=unix:{remote}", "--no-wait", "--retry", "--timeout=30", "init")
        started.append(
            _daemon(directory, "ovs-vswitchd", f"unix:{remote}", "--enable-dummy", "--disable-system")
        )
        yield Switch(directory)
    finally:
        for process in reversed(started):
            process.kill()
            process.wait()
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _daemon(directory: Path, name: str, *words: str) -> subprocess.Popen[bytes]:
    own: Sequence[str] = (f"--pidfile={directory}/{name}.pid", f"--log-file={directory}/{name}.log")
    quiet = ("--no-chdir", "-vconsole:off", "-vsyslog:off")
    return subprocess.Popen([name, *words, *own, *quiet], stderr=subprocess.DEVNULL)

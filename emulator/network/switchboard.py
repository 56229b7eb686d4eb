"""Open vSwitch as the network needs it: bridges and ports in one transaction, and the wait for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.network.errors import NetworkError
from emulator.network.ovsdb import Operation, Ovsdb, mapping, members, single

_MAX_BACKOFF = 1000
"""Longest pause between two attempts to reach the controller, in milliseconds; Open vSwitch takes no less."""
_INACTIVITY_PROBE = 30_000
"""Silence after which a controller counts as gone, in milliseconds: loaded machines must not look dead."""


@dataclass(frozen=True, slots=True)
class BridgeSpec:
    """One bridge as Open vSwitch shall have it."""

    name: str
    datapath_id: int
    datapath: str
    controller: str


@dataclass(frozen=True, slots=True)
class PortSpec:
    """One port. `shaped` keeps Open vSwitch from clearing the queueing discipline of the interface."""

    bridge: str
    interface: str
    ofport: int
    shaped: bool = False


@dataclass(frozen=True, slots=True)
class PortState:
    """One port as Open vSwitch has it. `ofport` is None until it is assigned, -1 when it failed."""

    uuid: str
    bridge: str
    interface: str
    ofport: int | None
    error: str | None


class Switchboard:
    """The bridges and ports of one Open vSwitch, reached through its database's socket."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._closing: dict[str, int] = {}
        self._has_settled = False

    def ports(self) -> Mapping[str, PortState]:
        """All ports by interface name, the bridges' own ones included."""
        with Ovsdb(self._socket) as database:
            return _ports(database)

    def bridges(self) -> frozenset[str]:
        """The names of all bridges."""
        with Ovsdb(self._socket) as database:
            return frozenset(row["name"] for row in database.select("Bridge", ["name"]))

    def change(
        self,
        *,
        bridges: Sequence[BridgeSpec] = (),
        ports: Sequence[PortSpec] = (),
        renewed: Iterable[str] = (),
    ) -> Change:
        """Add what is missing. `renewed` interfaces were made anew under an old name.

        Returns at once; call the result's `wait` for the moment when the ports forward.
        """
        with Ovsdb(self._socket) as database:
            present = _ports(database)
            known_bridges = {row["name"] for row in database.select("Bridge", ["name"])}
            stale = _stale(present, ports, frozenset(renewed))
            if stale:
                self._note_closing(stale, database.change(list(_removals(stale))))
            missing = [p for p in ports if p.interface not in present or p.interface in self._closing]
            self._wait_for_names(database, missing)
            operations = [
                *_new_bridges([bridge for bridge in bridges if bridge.name not in known_bridges]),
                *_new_ports(missing),
            ]
            number = database.change(operations)
        return Change(self._socket, number, tuple(ports))

    def remove(self, interfaces: Iterable[str]) -> None:
        """Take ports away; unknown ones are ignored. Open vSwitch closes them after this returns."""
        wanted = frozenset(interfaces)
        with Ovsdb(self._socket) as database:
            found = [port for port in _ports(database).values() if port.interface in wanted]
            if found:
                self._note_closing(found, database.change(list(_removals(found))))

    def _note_closing(self, ports: Iterable[PortState], change: int) -> None:
        self._closing.update({port.interface: change for port in ports})

    def _wait_for_names(self, database: Ovsdb, ports: Sequence[PortSpec]) -> None:
        """Wait until ovs-vswitchd let go of the names: it would keep a new port on the old device.

        An earlier process may have left removals behind, so the first addition waits for those too.
        """
        numbers = [self._closing[port.interface] for port in ports if port.interface in self._closing]
        if not self._has_settled:
            numbers.append(database.change([]))
        if numbers:
            database.wait_until_in_force(max(numbers))
            self._has_settled = True
            self._closing = {name: n for name, n in self._closing.items() if n > max(numbers)}


@dataclass(frozen=True, slots=True)
class Change:
    """A transaction that was committed and is being applied."""

    socket: Path
    number: int
    ports: tuple[PortSpec, ...]

    def wait(self) -> None:
        """Return when every port has its number. Raises NetworkError that names those that failed."""
        with Ovsdb(self.socket) as database:
            database.wait_until_in_force(self.number)
            present = _ports(database)
        wrong = [_complaint(port, present.get(port.interface)) for port in self.ports]
        complaints = [complaint for complaint in wrong if complaint]
        if complaints:
            raise NetworkError("Open vSwitch did not open " + "; ".join(complaints))


def _complaint(wanted: PortSpec, found: PortState | None) -> str | None:
    if found is None:
        return f"{wanted.interface}: removed meanwhile"
    if found.ofport != wanted.ofport:
        return f"{wanted.interface}: {found.error or f'OpenFlow port {found.ofport} for {wanted.ofport}'}"
    return None


def _stale(
    present: Mapping[str, PortState], wanted: Sequence[PortSpec], renewed: frozenset[str]
) -> list[PortState]:
    """Ports that must go before they can come back right."""
    misplaced = {
        want.interface
        for want in wanted
        if (port := present.get(want.interface))
        and (port.bridge != want.bridge or port.ofport not in (want.ofport, None))
    }
    return [port for name, port in present.items() if name in misplaced or name in renewed]


def _ports(database: Ovsdb) -> dict[str, PortState]:
    select = (
        ("Bridge", ["name", "ports"]),
        ("Port", ["_uuid", "name"]),
        ("Interface", ["name", "ofport", "error"]),
    )
    bridges, ports, interfaces = (
        result["rows"]
        for result in database.transact(
            [{"op": "select", "table": table, "where": [], "columns": columns} for table, columns in select]
        )
    )
    bridge_of = {uuid: row["name"] for row in bridges for _, uuid in members(row["ports"])}
    state_of = {row["name"]: row for row in interfaces}
    return {
        row["name"]: PortState(
            uuid=row["_uuid"][1],
            bridge=bridge_of[row["_uuid"][1]],
            interface=row["name"],
            ofport=single(state_of[row["name"]]["ofport"]),
            error=single(state_of[row["name"]]["error"]),
        )
        for row in ports
    }


def _new_bridges(bridges: Sequence[BridgeSpec]) -> Iterator[Operation]:
    for position, bridge in enumerate(bridges):
        controller, port = f"controller{position}", f"own{position}"
        yield _insert(
            "Controller",
            controller,
            {
                "target": bridge.controller,
                "connection_mode": "out-of-band",
                "max_backoff": _MAX_BACKOFF,
                "inactivity_probe": _INACTIVITY_PROBE,
            },
        )
        yield _insert("Interface", f"{port}i", {"name": bridge.name, "type": "internal"})
        yield _insert("Port", port, {"name": bridge.name, "interfaces": ["named-uuid", f"{port}i"]})
        yield _insert("Bridge", f"bridge{position}", _bridge_row(bridge, controller, port))
    if bridges:
        yield _add_members("Open_vSwitch", [], "bridges", [f"bridge{n}" for n in range(len(bridges))])


def _bridge_row(bridge: BridgeSpec, controller: str, port: str) -> Mapping[str, Any]:
    settings = {"datapath-id": f"{bridge.datapath_id:016x}", "disable-in-band": "true"}
    return {
        "name": bridge.name,
        "datapath_type": bridge.datapath,
        "fail_mode": "secure",
        "protocols": "OpenFlow13",
        "other_config": mapping(settings),
        "controller": ["named-uuid", controller],
        "ports": ["named-uuid", port],
    }


def _new_ports(ports: Sequence[PortSpec]) -> Iterator[Operation]:
    members_of: dict[str, list[str]] = {}
    for position, port in enumerate(ports):
        name = f"port{position}"
        row: dict[str, Any] = {"name": port.interface, "interfaces": ["named-uuid", f"{name}i"]}
        if port.shaped:
            row["qos"] = ["named-uuid", f"{name}q"]
            yield _insert("QoS", f"{name}q", {"type": "linux-noop"})
        yield _insert("Interface", f"{name}i", {"name": port.interface, "ofport_request": port.ofport})
        yield _insert("Port", name, row)
        members_of.setdefault(port.bridge, []).append(name)
    for bridge, names in members_of.items():
        yield _add_members("Bridge", [["name", "==", bridge]], "ports", names)


def _removals(ports: Iterable[PortState]) -> Iterator[Operation]:
    of_bridge: dict[str, list[list[str]]] = {}
    for port in ports:
        of_bridge.setdefault(port.bridge, []).append(["uuid", port.uuid])
    for bridge, uuids in of_bridge.items():
        mutations = [["ports", "delete", ["set", uuids]]]
        yield {"op": "mutate", "table": "Bridge", "where": [["name", "==", bridge]], "mutations": mutations}


def _insert(table: str, name: str, row: Mapping[str, Any]) -> Operation:
    return {"op": "insert", "table": table, "uuid-name": name, "row": row}


def _add_members(table: str, where: Sequence[Any], column: str, names: Sequence[str]) -> Operation:
    inserted = ["set", [["named-uuid", name] for name in names]]
    return {"op": "mutate", "table": table, "where": where, "mutations": [[column, "insert", inserted]]}

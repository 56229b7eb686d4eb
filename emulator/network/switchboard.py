"""Open vSwitch as the network needs it: bridges and ports in one transaction, and the wait for them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emulator.network.errors import NetworkError
from emulator.network.ovsdb import Operation, Ovsdb, Row, mapping, members, single

_MAX_BACKOFF = 1000
"""Longest pause between attempts to reach the controller, in milliseconds (Open vSwitch 3.1 ignores it)."""
_CLOSED_AT_ONCE = 8
_NO_QOS = "linux-noop"
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

    def change(self, bridges: Sequence[BridgeSpec], ports: Sequence[PortSpec]) -> Change:
        """Add what is missing; a port of another number or at another bridge is moved.

        Returns at once; call the result's `wait` for the moment when the ports forward.
        """
        with Ovsdb(self._socket) as database:
            present = _ports(database)
            known_bridges = {row["name"] for row in database.select("Bridge", ["name"])}
            misplaced = _misplaced(present, ports)
            self._close(database, misplaced)
            self._wait_until_closed(database, [port.interface for port in misplaced])
            kept = present.keys() - {port.interface for port in misplaced}
            operations = [
                *_new_bridges([bridge for bridge in bridges if bridge.name not in known_bridges]),
                *_new_ports([port for port in ports if port.interface not in kept]),
            ]
            number = database.change(operations)
        return Change(self._socket, number, tuple(ports))

    def release(self, interfaces: Iterable[str]) -> None:
        """Return when Open vSwitch has no device of these names open, so that they can be made anew.

        It sets a device's flags back by name when it closes it: a new one would be found set down.
        """
        names = frozenset(interfaces)
        with Ovsdb(self._socket) as database:
            self._close(database, [port for port in _ports(database).values() if port.interface in names])
            self._wait_until_closed(database, names)

    def remove(self, interfaces: Iterable[str]) -> None:
        """Take ports away; unknown ones are ignored. Open vSwitch closes the last ones after this returns.

        Closing a port stops the forwarding of all for some 12 ms, so few are closed at a time.
        """
        wanted = frozenset(interfaces)
        with Ovsdb(self._socket) as database:
            found = [port for port in _ports(database).values() if port.interface in wanted]
            for start in range(0, len(found), _CLOSED_AT_ONCE):
                self._wait_until_closed(database, tuple(self._closing))
                self._close(database, found[start : start + _CLOSED_AT_ONCE])

    def leave_queues(self, interfaces: Sequence[str]) -> None:
        """Return when Open vSwitch leaves these ports' queueing disciplines alone; else it clears them."""
        if not interfaces:
            return
        with Ovsdb(self._socket) as database:
            found = [row for row in database.select("QoS", ["_uuid", "type"]) if row["type"] == _NO_QOS]
            insertion = [] if found else [_insert("QoS", "noop", {"type": _NO_QOS})]
            qos = found[0]["_uuid"] if found else ["named-uuid", "noop"]
            operations = [*insertion, *(_set_qos(name, qos) for name in interfaces)]
            database.wait_until_in_force(database.change(operations))

    def take_queues(self, interfaces: Sequence[str]) -> None:
        """Let Open vSwitch do with the queueing disciplines of these ports what it does with others'."""
        if interfaces:
            with Ovsdb(self._socket) as database:
                database.change([_set_qos(name, ["set", []]) for name in interfaces])

    def reconnect(self, bridges: Collection[str]) -> None:
        """Make these bridges dial their controller now.

        Open vSwitch would wait up to eight seconds, whatever `max_backoff` says; a target that is written
        differently makes it start afresh. Which bridges are connected it tells only every five seconds.
        """
        with Ovsdb(self._socket) as database:
            rows = database.select("Bridge", ["name", "controller"])
            meant = [row["controller"] for row in rows if row["name"] in bridges]
            controllers = database.select("Controller", ["_uuid", "target"])
            database.change([_respelled(row) for row in controllers if row["_uuid"] in meant])

    def _close(self, database: Ovsdb, ports: Sequence[PortState]) -> None:
        if ports:
            change = database.change(list(_removals(ports)))
            self._closing.update({port.interface: change for port in ports})

    def _wait_until_closed(self, database: Ovsdb, interfaces: Iterable[str]) -> None:
        """An earlier process may have left ports closing, so the first call waits for those too."""
        numbers = [self._closing[name] for name in interfaces if name in self._closing]
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


def _misplaced(present: Mapping[str, PortState], wanted: Sequence[PortSpec]) -> list[PortState]:
    return [
        port
        for want in wanted
        if (port := present.get(want.interface))
        and (port.bridge != want.bridge or port.ofport not in (want.ofport, None))
    ]


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
            yield _insert("QoS", f"{name}q", {"type": _NO_QOS})
        yield _insert("Interface", f"{name}i", {"name": port.interface, "ofport_request": port.ofport})
        yield _insert("Port", name, row)
        members_of.setdefault(port.bridge, []).append(name)
    for bridge, names in members_of.items():
        yield _add_members("Bridge", [["name", "==", bridge]], "ports", names)


def _set_qos(interface: str, qos: Sequence[Any]) -> Operation:
    return {"op": "update", "table": "Port", "where": [["name", "==", interface]], "row": {"qos": qos}}


def _removals(ports: Iterable[PortState]) -> Iterator[Operation]:
    of_bridge: dict[str, list[list[str]]] = {}
    for port in ports:
        of_bridge.setdefault(port.bridge, []).append(["uuid", port.uuid])
    for bridge, uuids in of_bridge.items():
        mutations = [["ports", "delete", ["set", uuids]]]
        yield {"op": "mutate", "table": "Bridge", "where": [["name", "==", bridge]], "mutations": mutations}


def _respelled(row: Row) -> Operation:
    host, _, port = row["target"].rpartition(":")
    other = port.lstrip("0") if port.startswith("0") else f"0{port}"
    where = [["_uuid", "==", row["_uuid"]]]
    return {"op": "update", "table": "Controller", "where": where, "row": {"target": f"{host}:{other}"}}


def _insert(table: str, name: str, row: Mapping[str, Any]) -> Operation:
    return {"op": "insert", "table": table, "uuid-name": name, "row": row}


def _add_members(table: str, where: Sequence[Any], column: str, names: Sequence[str]) -> Operation:
    inserted = ["set", [["named-uuid", name] for name in names]]
    return {"op": "mutate", "table": table, "where": where, "mutations": [[column, "insert", inserted]]}

"""The database client against a server that sends what ovsdb-server may send."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from emulator.network.errors import NetworkError
from emulator.network.ovsdb import Ovsdb, OvsdbError, mapping, members, single
from emulator.network.switchboard import BridgeSpec, PortSpec, Switchboard

Answer = Callable[[dict[str, Any]], list[Any]]


@contextmanager
def server(path: Path, answer: Answer) -> Iterator[list[dict[str, Any]]]:
    """Answers each request with messages, sent in pieces of seven bytes; yields what it was asked."""
    asked: list[dict[str, Any]] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve(connection: socket.socket) -> None:
            decoder, text = json.JSONDecoder(), ""
            with connection:
                while data := connection.recv(65536):
                    text += data.decode()
                    while text:
                        try:
                            message, end = decoder.raw_decode(text)
                        except json.JSONDecodeError:
                            break
                        text = text[end:]
                        asked.append(message)
                        reply = "".join(json.dumps(m) for m in answer(message)).encode()
                        for start in range(0, len(reply), 7):
                            connection.sendall(reply[start : start + 7])

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield asked
        listener.shutdown(socket.SHUT_RDWR)


def result(message: dict[str, Any], value: Any) -> dict[str, Any]:
    return {"id": message["id"], "result": value, "error": None}


def test_echo_requests_are_answered_on_the_way(tmp_path: Path) -> None:
    def answer(message: dict[str, Any]) -> list[Any]:
        if message.get("method") == "transact":
            return [
                {"id": "e", "method": "echo", "params": []},
                result(message, [{"rows": [{"name": "n1"}]}]),
            ]
        return []

    with server(tmp_path / "db", answer) as asked, Ovsdb(tmp_path / "db", timeout=5) as database:
        assert database.select("Bridge", ["name"]) == [{"name": "n1"}]
        assert database.select("Bridge", ["name"]) == [{"name": "n1"}]
    assert {"result": [], "error": None, "id": "e"} in asked


def test_a_refused_operation_is_named(tmp_path: Path) -> None:
    def answer(message: dict[str, Any]) -> list[Any]:
        return [result(message, [{"error": "constraint violation", "details": "two of one name"}])]

    with (
        server(tmp_path / "db", answer),
        Ovsdb(tmp_path / "db", timeout=5) as database,
        pytest.raises(OvsdbError, match=r"'op': 'comment'.*two of one name"),
    ):
        database.transact([{"op": "comment"}])


def test_waiting_ends_with_the_update_that_says_so(tmp_path: Path) -> None:
    def rows(number: int) -> dict[str, Any]:
        return {"Open_vSwitch": {"u": {"new": {"cur_cfg": number}}}}

    def answer(message: dict[str, Any]) -> list[Any]:
        updates = [{"id": None, "method": "update", "params": [8, rows(n)]} for n in (7, 8)]
        return [result(message, rows(6)), *updates]

    with server(tmp_path / "db", answer), Ovsdb(tmp_path / "db", timeout=5) as database:
        database.wait_until_in_force(8)


def test_silence_has_a_deadline(tmp_path: Path) -> None:
    with (
        server(tmp_path / "db", lambda _: []),
        Ovsdb(tmp_path / "db", timeout=0.05) as database,
        pytest.raises(OvsdbError, match=r"did not answer within 0.05 s"),
    ):
        database.transact([])


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(OvsdbError, match="does not answer at"):
        Ovsdb(tmp_path / "db")


def test_sets_of_one_member_are_written_without_their_set() -> None:
    assert members(["set", []]) == []
    assert members(["set", [1, 2]]) == [1, 2]
    assert members(5) == [5]
    assert members(["uuid", "x"]) == [["uuid", "x"]]
    assert single(["set", []]) is None
    assert mapping({"a": "b"}) == ["map", [["a", "b"]]]


class Database:
    """Answers like an Open vSwitch that has one port, and opens every new one but `bad`."""

    def __init__(self) -> None:
        self.ports = {"old": ("n1", 100)}
        self.number = 0
        self.operations: list[dict[str, Any]] = []

    def __call__(self, message: dict[str, Any]) -> list[Any]:
        if message["method"] == "monitor":
            rows = {"Open_vSwitch": {"u": {"new": {"cur_cfg": self.number}}}}
            return [result(message, rows)]
        return [result(message, [self.do(operation) for operation in message["params"][1:]])]

    def do(self, operation: dict[str, Any]) -> dict[str, Any]:
        table = operation["table"]
        if operation["op"] == "select":
            return {"rows": self.rows(table)}
        self.operations.append(operation)
        if operation["op"] == "insert" and table == "Interface" and "ofport_request" in operation["row"]:
            row = operation["row"]
            self.ports[row["name"]] = ("n1", -1 if row["name"] == "bad" else row["ofport_request"])
        if operation["op"] == "mutate" and operation["mutations"][0][1] == "delete":
            for _, uuid in operation["mutations"][0][2][1]:
                del self.ports[uuid]
        if operation["op"] == "mutate" and table == "Open_vSwitch":
            self.number += 1
        return {}

    def rows(self, table: str) -> list[dict[str, Any]]:
        match table:
            case "Bridge":
                return [{"name": "n1", "ports": ["set", [["uuid", name] for name in self.ports]]}]
            case "Port":
                return [{"_uuid": ["uuid", name], "name": name} for name in self.ports]
            case "Interface":
                error = {"bad": "no such device"}
                return [
                    {"name": name, "ofport": number, "error": error.get(name, ["set", []])}
                    for name, (_, number) in self.ports.items()
                ]
            case _:
                return [{"next_cfg": self.number}]

    def inserted(self, table: str) -> list[str]:
        return [o["row"]["name"] for o in self.operations if o["op"] == "insert" and o["table"] == table]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    known = Database()
    with server(tmp_path / "db", known):
        yield known


def test_only_what_is_missing_is_added(database: Database, tmp_path: Path) -> None:
    board = Switchboard(tmp_path / "db")
    bridges = [BridgeSpec(name, 1, "netdev", "tcp:127.0.0.1:6653") for name in ("n1", "n2")]
    board.change(bridges, [PortSpec("n1", "old", 100), PortSpec("n1", "new", 101)]).wait()
    assert database.inserted("Port") == ["n2", "new"]
    assert database.inserted("Bridge") == ["n2"]


def test_a_port_of_another_number_is_moved(database: Database, tmp_path: Path) -> None:
    Switchboard(tmp_path / "db").change([], [PortSpec("n1", "old", 200)]).wait()
    assert database.ports == {"old": ("n1", 200)}


def test_a_port_that_does_not_open_is_named(database: Database, tmp_path: Path) -> None:
    change = Switchboard(tmp_path / "db").change(
        [], [PortSpec("n1", "bad", 101), PortSpec("n1", "good", 102)]
    )
    with pytest.raises(NetworkError, match=r"did not open bad: no such device$"):
        change.wait()


def test_removed_and_released_ports_are_gone(database: Database, tmp_path: Path) -> None:
    board = Switchboard(tmp_path / "db")
    board.remove(["unknown"])
    assert database.number == 0
    board.release(["old"])
    assert database.ports == {}


def test_shaped_ports_keep_their_discipline(database: Database, tmp_path: Path) -> None:
    Switchboard(tmp_path / "db").change([], [PortSpec("n1", "wan", 5, shaped=True)]).wait()
    kinds = [o["row"]["type"] for o in database.operations if o["op"] == "insert" and o["table"] == "QoS"]
    assert kinds == ["linux-noop"]

"""A client of ovsdb-server's JSON-RPC (RFC 7047): transactions, and waiting until they are in force.

`ovs-vsctl` does the same at the price of a process a call; a batch of 200 ports is one message here.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from emulator.network.errors import NetworkError

Operation = Mapping[str, Any]
Row = Mapping[str, Any]

_DATABASE = "Open_vSwitch"
_RECEIVE = 1 << 20


class OvsdbError(NetworkError):
    """ovsdb-server refused a transaction, or does not answer."""


class Ovsdb:
    """One connection. `timeout` in seconds bounds every single wait for an answer."""

    def __init__(self, path: Path, timeout: float = 30.0) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        self._timeout = timeout
        self._text = ""
        self._requests = 0
        self._decoder = json.JSONDecoder()
        self._in_force: int | None = None
        try:
            self._socket.settimeout(timeout)
            self._socket.connect(str(path))
        except OSError as error:
            self._socket.close()
            raise OvsdbError(f"ovsdb-server does not answer at {path}: {error.strerror}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def transact(self, operations: Sequence[Operation]) -> list[Any]:
        """Do all operations or none; returns one result for each. Raises OvsdbError."""
        results = self._call("transact", [_DATABASE, *operations])
        for position, result in enumerate(results):
            if result and result.get("error"):
                failed = operations[position] if position < len(operations) else "the commit"
                raise OvsdbError(f"Open vSwitch refused {failed}: {result['error']}: {result.get('details')}")
        return list(results)

    def select(self, table: str, columns: Sequence[str]) -> list[Row]:
        """Those columns of every row of a table."""
        operation = {"op": "select", "table": table, "where": [], "columns": list(columns)}
        return list(self.transact([operation])[0]["rows"])

    def change(self, operations: Sequence[Operation]) -> int:
        """Do the operations; returns the number to wait for with `wait_until_in_force`."""
        count = {"op": "mutate", "table": _DATABASE, "where": [], "mutations": [["next_cfg", "+=", 1]]}
        read = {"op": "select", "table": _DATABASE, "where": [], "columns": ["next_cfg"]}
        return int(self.transact([*operations, count, read])[-1]["rows"][0]["next_cfg"])

    def wait_until_in_force(self, change: int) -> None:
        """Return when ovs-vswitchd has applied that change. Raises OvsdbError after `timeout`."""
        deadline = time.monotonic() + self._timeout
        if self._in_force is None:
            watched = {_DATABASE: {"columns": ["cur_cfg"]}}
            self._in_force = _applied(self._call("monitor", [_DATABASE, "", watched]))
        while self._in_force < change:
            message = self._receive(deadline)
            if message.get("method") == "update":
                self._in_force = max(self._in_force, _applied(message["params"][1]))

    def _call(self, method: str, params: Sequence[Any]) -> Any:
        self._requests += 1
        self._send({"method": method, "params": params, "id": self._requests})
        deadline = time.monotonic() + self._timeout
        while True:
            message = self._receive(deadline)
            if message.get("method") == "update" and self._in_force is not None:
                self._in_force = max(self._in_force, _applied(message["params"][1]))
            if "method" in message or message.get("id") != self._requests:
                continue
            if message.get("error"):
                raise OvsdbError(f"ovsdb-server refused {method}: {message['error']}")
            return message["result"]

    def _send(self, message: Mapping[str, Any]) -> None:
        self._socket.sendall(json.dumps(message).encode())

    def _receive(self, deadline: float) -> dict[str, Any]:
        """The next message that is not an echo request; those are answered on the way."""
        while True:
            try:
                message, end = self._decoder.raw_decode(self._text)
            except json.JSONDecodeError:
                self._text += self._read(deadline)
                continue
            self._text = self._text[end:].lstrip()
            if message.get("method") == "echo":
                self._send({"result": message["params"], "error": None, "id": message["id"]})
                continue
            return dict(message)

    def _read(self, deadline: float) -> str:
        remaining = deadline - time.monotonic()
        try:
            self._socket.settimeout(max(remaining, 0.001))
            data = self._socket.recv(_RECEIVE)
        except TimeoutError as error:
            raise OvsdbError(f"Open vSwitch did not answer within {self._timeout:g} s") from error
        if not data:
            raise OvsdbError("ovsdb-server closed the connection")
        return data.decode()


def _applied(table: Mapping[str, Any]) -> int:
    """The number of the last change that ovs-vswitchd says it has applied; -1 when it says nothing."""
    rows = table.get(_DATABASE, {}).values()
    return max((row.get("new", {}).get("cur_cfg", -1) for row in rows), default=-1)


def members(value: Any) -> list[Any]:
    """The members of a column that holds a set: the protocol writes a single one without its set."""
    if isinstance(value, list) and value and value[0] == "set":
        return list(value[1])
    return [value]


def single(value: Any) -> Any:
    """The member of a column that holds at most one, or None."""
    found = members(value)
    return found[0] if found else None


def mapping(values: Mapping[str, str]) -> list[Any]:
    """A dictionary as the protocol writes it."""
    return ["map", [[key, value] for key, value in values.items()]]

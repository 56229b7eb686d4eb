"""What the relay is told, and how it answers.

The file of orders holds all that the relay has to do, so that one which was killed goes on where it was. Who
changes the file connects to the relay's socket, sends nothing, and reads one JSON object when it is in force:
`{"failed": {interface: reason}}`.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from emulator.cluster.impairments import Impairment

UNIT = "relay"
"""The relay's name among the sandbox's services."""
_ORDERS, _SOCKET = "orders.json", "relay.sock"


@dataclass(frozen=True, slots=True)
class Order:
    """Impair what leaves by one interface, towards the other end of its link."""

    netns: str | None
    """The name of the netns that it lies in; None: the one of Open vSwitch."""
    interface: str
    impairment: Impairment
    seed: str

    @property
    def key(self) -> tuple[str, str]:
        """What it is about, whatever is to happen there."""
        return self.netns or "", self.interface


def socket_path(directory: Path) -> Path:
    """Where the relay listens."""
    return directory / _SOCKET


def read(directory: Path) -> tuple[Order, ...]:
    """The orders in force; none where nobody wrote any."""
    try:
        text = (directory / _ORDERS).read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    return tuple(_order(fields) for fields in json.loads(text))


def write(directory: Path, orders: Iterable[Order]) -> None:
    """Exchange the orders in one go; the relay does not look before it is told to."""
    directory.mkdir(parents=True, exist_ok=True)
    new = directory / f"{_ORDERS}.new"
    new.write_text(json.dumps([asdict(order) for order in orders]), encoding="utf-8")
    new.rename(directory / _ORDERS)


def carry_out(directory: Path, timeout: float) -> dict[str, Any]:
    """Make the relay do what its orders say now; returns its answer. Raises OSError when it is not there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        connection.connect(str(socket_path(directory)))
        with connection.makefile("r", encoding="utf-8") as answers:
            line = answers.readline()
    if not line:
        raise ConnectionResetError("the relay of the links died before it answered")
    answer: dict[str, Any] = json.loads(line)
    return answer


def _order(fields: dict[str, Any]) -> Order:
    return Order(**{**fields, "impairment": Impairment(**fields["impairment"])})

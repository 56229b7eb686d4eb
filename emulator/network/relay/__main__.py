"""The relay's process: `python -m emulator.network.relay DIRECTORY`."""

from __future__ import annotations

import json
import logging
import os
import select
import socket
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from emulator.linux.supervision import notify_ready
from emulator.linux.timers import Timer
from emulator.network.errors import NetworkError
from emulator.network.relay import orders
from emulator.network.relay.crossing import Crossing
from emulator.network.relay.orders import Order

log = logging.getLogger("relay")


class Relay:
    """All crossings, served by one thread that sleeps while no frame comes or is due."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._crossings: dict[tuple[str, str], Crossing] = {}
        self._by_file: dict[int, Crossing] = {}
        self._poll = select.epoll()
        self._timer = Timer()
        self._next: float | None = None
        self._failed: dict[str, str] = {}
        self._listener = _listen(orders.socket_path(directory))
        for file in (self._timer, self._listener):
            self._poll.register(file.fileno(), select.EPOLLIN)

    def obey(self) -> dict[str, Any]:
        """Bring the crossings to what the orders say; the answer tells what failed, and counts frames."""
        wanted = {order.key: order for order in orders.read(self._directory)}
        self._failed = {}
        for key, crossing in list(self._crossings.items()):
            if key not in wanted or not crossing.is_sound:
                self._drop(crossing)
        for key, order in wanted.items():
            if key in self._crossings:
                self._crossings[key].change(order)
            else:
                self._begin(order)
        counts = {" ".join(key).strip(): asdict(c.channel.count) for key, c in self._crossings.items()}
        return {"failed": self._failed, "counts": counts}

    def run(self) -> None:
        """Relay frames for ever."""
        while True:
            for file, _ in self._poll.poll():
                if file == self._timer.fileno():
                    with suppress(BlockingIOError):
                        os.read(file, 8)
                    self._next = None
                elif file == self._listener.fileno():
                    self._answer()
                elif file in self._by_file:
                    self._take(self._by_file[file])
            self._deliver()

    def _take(self, crossing: Crossing) -> None:
        try:
            crossing.take(time.monotonic())
        except OSError as gone:
            log.info("%s has gone: %s", crossing.order.interface, gone)
            self._drop(crossing)

    def _deliver(self) -> None:
        now = time.monotonic()
        due = [moment for c in self._crossings.values() if (moment := c.deliver(now)) is not None]
        earliest = min(due, default=None)
        if earliest != self._next:
            self._timer.set(earliest)
            self._next = earliest

    def _begin(self, order: Order) -> None:
        taken = {crossing.number for crossing in self._crossings.values()}
        number = next(n for n in count() if n not in taken)
        try:
            crossing = Crossing(order, number)
        except (OSError, NetworkError) as wrong:
            log.warning("%s cannot be impaired: %s", order.interface, wrong)
            self._failed[order.interface] = str(wrong)
            return
        self._crossings[order.key] = self._by_file[crossing.fileno()] = crossing
        self._poll.register(crossing.fileno(), select.EPOLLIN)

    def _drop(self, crossing: Crossing) -> None:
        self._poll.unregister(crossing.fileno())
        del self._by_file[crossing.fileno()]
        del self._crossings[crossing.order.key]
        crossing.close()

    def _answer(self) -> None:
        connection, _ = self._listener.accept()
        with connection, suppress(OSError):
            connection.sendall(json.dumps(self.obey()).encode() + b"\n")


def _listen(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    path.unlink(missing_ok=True)
    listener.bind(str(path))
    listener.listen()
    return listener


def main() -> None:
    """Take over where the last one died, then relay."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    directory = Path(sys.argv[1])
    directory.mkdir(parents=True, exist_ok=True)
    relay = Relay(directory)
    relay.obey()
    notify_ready()
    relay.run()


if __name__ == "__main__":
    main()

"""Sends numbered datagrams and a stream between two places of a sandbox, and says what arrived.

Run in the sandbox as `python numbered.py SOURCE TARGET ADDRESS COUNT BYTES`; prints one line of JSON.
"""

from __future__ import annotations

import json
import socket
import sys
import threading
import time
from pathlib import Path

from emulator.linux.namespaces import enter_netns
from emulator.network.names import netns_path

PORT = 40_000
_NO_CHECKSUM = 11  # SO_NO_CHECK: what is corrupted arrives, and can be seen
_END = b"end"
_SILENCE, _PATIENCE = 0.3, 20.0
_PAYLOAD = bytes(range(200))


def main(source: str, target: str, address: str, count: int, size: int) -> dict[str, object]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    datagrams, stream = Receiver(target, family), Acceptor(target, family)
    datagrams.bound.wait(_PATIENCE)
    stream.bound.wait(_PATIENCE)
    enter_netns(Path(netns_path(source)))
    sent = send_datagrams(family, address, count, datagrams)
    started = time.monotonic()
    intact = send_stream(family, address, size, stream)
    found = datagrams.arrived
    return {
        "order": [number for number, *_ in found],
        "corrupted": sum(not good for _, good, _ in found),
        "delays": [at - sent[number] for number, good, at in found if good],
        "stream": intact,
        "seconds": time.monotonic() - started,
    }


def send_datagrams(family: int, address: str, count: int, receiver: Receiver) -> dict[int, float]:
    sent = {}
    with socket.socket(family, socket.SOCK_DGRAM) as sender:
        if family == socket.AF_INET:
            sender.setsockopt(socket.SOL_SOCKET, _NO_CHECKSUM, 1)
        sender.connect((address, PORT))
        for number in range(count):
            sent[number] = time.monotonic()
            sender.send(number.to_bytes(4, "big") + _PAYLOAD)
        deadline = time.monotonic() + _PATIENCE
        while not receiver.ended.wait(0.02) and time.monotonic() < deadline:
            sender.send(_END)
    receiver.join(_PATIENCE)
    return sent


def send_stream(family: int, address: str, size: int, acceptor: Acceptor) -> bool:
    data = bytes(k * 7 % 256 for k in range(size))
    with socket.socket(family, socket.SOCK_STREAM) as sender:
        sender.settimeout(_PATIENCE)
        try:
            sender.connect((address, PORT))
            sender.sendall(data)
            sender.shutdown(socket.SHUT_WR)
            sender.recv(1)
        except OSError:
            return False
    acceptor.join(_PATIENCE)
    return acceptor.heard == data


class Receiver(threading.Thread):
    """Takes datagrams until the end was announced and nothing more comes."""

    def __init__(self, place: str, family: int) -> None:
        super().__init__(daemon=True)
        self._place, self._family = place, family
        self.bound, self.ended = threading.Event(), threading.Event()
        self.arrived: list[tuple[int, bool, float]] = []
        self.start()

    def run(self) -> None:
        enter_netns(Path(netns_path(self._place)))
        with socket.socket(self._family, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("", PORT))
            self.bound.set()
            while True:
                try:
                    data = receiver.recv(2048)
                except TimeoutError:
                    return
                now = time.monotonic()
                if data == _END:
                    self.ended.set()
                    receiver.settimeout(_SILENCE)
                else:
                    self.arrived.append((int.from_bytes(data[:4], "big"), data[4:] == _PAYLOAD, now))


class Acceptor(threading.Thread):
    """Takes one stream to its end."""

    def __init__(self, place: str, family: int) -> None:
        super().__init__(daemon=True)
        self._place, self._family = place, family
        self.bound, self.heard = threading.Event(), b""
        self.start()

    def run(self) -> None:
        enter_netns(Path(netns_path(self._place)))
        with socket.socket(self._family, socket.SOCK_STREAM) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("", PORT))
            listener.listen()
            self.bound.set()
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(1 << 16):
                    self.heard += data
                connection.send(b"!")


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:4], *map(int, sys.argv[4:]))))

"""A UDP client that keeps to one source port and never stops asking: what keeps stale connections alive."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emulator import Cluster
from emulator.network.names import netns_path

SOURCE_PORT = 12345

_CLIENT = """
import select, socket, sys, time
host, port, source, interval = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), 0.05
family = socket.AF_INET6 if ":" in host else socket.AF_INET
own = socket.socket(family, socket.SOCK_DGRAM)
own.bind(("", source))

def heard(seconds):
    if not select.select([own], [], [], seconds)[0]:
        return ""
    try:
        return own.recv(2048).decode().strip()
    except OSError as error:
        return error.strerror

def say():
    try:
        own.sendto(b"hostname", (host, port))
    except OSError:
        pass

print("ready", flush=True)
while True:
    say()
    if not select.select([sys.stdin], [], [], interval)[0]:
        while heard(0):
            pass
        continue
    patience = sys.stdin.readline()
    if not patience:
        break
    while heard(0.1):
        pass
    say()
    print(heard(float(patience)) or "silence", flush=True)
"""


GREETER = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
    for number in range(20):
        own.sendto(b"%d" % number, (sys.argv[1], 8081))
"""
"""Says twenty words to an address as soon as it lives."""


@dataclass(frozen=True)
class Talker:
    """Asks an agnhost server for its name about twenty times a second."""

    process: subprocess.Popen[str]

    def ask(self, seconds: float = 5) -> None:
        """Send a datagram of which `answer` will tell."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{seconds}\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        """Who answered the datagram of `ask`; `silence` when nobody did."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def answered_by(self, seconds: float = 5) -> str:
        """Who answers the very next datagram."""
        self.ask(seconds)
        return self.answer()


@contextmanager
def talking(
    cluster: Cluster, source: str, address: str, port: int, source_port: int = SOURCE_PORT
) -> Iterator[Talker]:
    """A client at `source` that talks while the block runs."""
    arguments = [address, str(port), str(source_port)]
    inside = ["nsenter", f"--net={netns_path(source)}", "python3", "-c", _CLIENT, *arguments]
    process = subprocess.Popen(
        cluster.sandbox.command(inside), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield Talker(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)

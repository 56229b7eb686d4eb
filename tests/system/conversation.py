"""Connections and pings that go on for as long as a test likes, from a place of a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emulator import Cluster
from emulator.network.names import netns_path

_TALKER = """
import http.client, sys
host, port = sys.argv[1], int(sys.argv[2])
line = http.client.HTTPConnection(host, port, timeout=20)
line.connect()
mine = line.sock
for words in sys.stdin:
    line.request("GET", "/echo?msg=" + words.strip())
    answer = line.getresponse().read().decode()
    assert line.sock is mine, "the connection was closed"
    print(answer, flush=True)
"""

_PINGER = """
import select, socket, struct, sys
address = sys.argv[1]
family, protocol, kind = (10, 58, 128) if ":" in address else (2, 1, 8)
line = socket.socket(family, socket.SOCK_RAW, protocol)
line.connect((address, 0))
line.settimeout(1)
sent = lost = 0
while not (sent and select.select([sys.stdin], [], [], 0.004)[0]):
    sent += 1
    head, body = struct.pack("!BB", kind, 0), struct.pack("!HI", 7, sent)
    words = struct.unpack("!4H", head + body)
    total = sum(words)
    line.send(head + struct.pack("!H", ~(total + (total >> 16)) & 0xFFFF) + body)
    try:
        while not line.recv(200).endswith(body):
            pass
    except TimeoutError:
        lost += 1
    if sent == 1:
        print("begun", flush=True)
print(sent, lost)
"""


def from_place(cluster: Cluster, place: str, command: list[str]) -> list[str]:
    """The command for the host that runs `command` in the network of a place."""
    return cluster.sandbox.command(["nsenter", f"--net={netns_path(place)}", *command])


class Conversation:
    """One TCP connection on which words go to and fro."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self._process = process
        self._name = name
        self._words = 0

    def exchange(self) -> None:
        """Send a numbered word and read it back whole."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._words += 1
        word = f"word-{self._words}-" + "x" * 1000
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline().strip()
        assert answer == word, f"{self._name}, word {self._words}: {answer or self._complaint()!r}"

    def _complaint(self) -> str:
        assert self._process.stderr is not None
        return self._process.stderr.read()


@contextmanager
def conversation(cluster: Cluster, source: str, address: str, port: int) -> Iterator[Conversation]:
    """A connection to a netexec server; the first word has been exchanged."""
    command = from_place(cluster, source, ["python", "-c", _TALKER, address, str(port)])
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            talk = Conversation(process, f"{source} → [{address}]:{port}")
            talk.exchange()
            yield talk
        finally:
            process.kill()


@dataclass
class Storm:
    """What became of an uninterrupted flow of pings."""

    sent: int = 0
    lost: int = 0


@contextmanager
def storm(cluster: Cluster, source: str, address: str) -> Iterator[Storm]:
    """Pings, a few milliseconds apart, for as long as the block lasts; the result is known after it."""
    with counted(cluster, source, _PINGER, address) as result:
        yield result


@contextmanager
def counted(cluster: Cluster, source: str, program: str, *arguments: str) -> Iterator[Storm]:
    """A program that says when it has begun, and at the end of its input how much was sent and lost."""
    command = from_place(cluster, source, ["python", "-c", program, *arguments])
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    result = Storm()
    with subprocess.Popen(command, text=True, **pipes) as process:  # type: ignore[call-overload]
        try:
            first = process.stdout.readline()
            assert first, process.stderr.read()
            yield result
            counts, complaint = process.communicate("", timeout=20)
            assert counts, complaint
            result.sent, result.lost = map(int, counts.split())
        finally:
            process.kill()

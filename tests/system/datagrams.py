"""Datagrams on one socket that go to and fro for as long as a test likes, from a place of a cluster."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from emulator import Cluster
from tests.system.conversation import Storm, from_place

_SENDER = """
import select, socket, sys
line = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
line.connect((sys.argv[1], int(sys.argv[2])))
line.settimeout(2)
sent = lost = 0
while not (sent and select.select([sys.stdin], [], [], 0.004)[0]):
    sent += 1
    word = f"word-{sent}"
    line.send(f"echo {word}".encode())
    try:
        while line.recv(200).decode().strip() != word:
            pass
    except TimeoutError:
        lost += 1
    if sent == 1:
        print("begun", flush=True)
print(sent, lost)
"""


@contextmanager
def datagrams(cluster: Cluster, source: str, address: str, port: int) -> Iterator[Storm]:
    """Words to a netexec server, a few milliseconds apart; what was lost is known after the block."""
    command = from_place(cluster, source, ["python", "-c", _SENDER, address, str(port)])
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

"""Datagrams on one socket that go to and fro for as long as a test likes, from a place of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from emulator import Cluster
from tests.system.conversation import Storm, counted

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
    with counted(cluster, source, _SENDER, address, str(port)) as result:
        yield result

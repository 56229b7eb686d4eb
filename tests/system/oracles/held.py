"""Connections that stay open while the cluster changes around them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from emulator import Cluster
from emulator.network.names import netns_path

_CLIENT = """
import http.client, json, sys
host, port = sys.argv[1], int(sys.argv[2])
connection = http.client.HTTPConnection(host, port, timeout=20)
connection.connect()
own = connection.sock
for _ in sys.stdin:
    connection.request("GET", "/hostname")
    answer = connection.getresponse().read().decode()
    same = connection.sock is own
    print(json.dumps({"answer": answer, "same": same}), flush=True)
"""


@dataclass(frozen=True)
class HeldConnection:
    """One TCP connection from a place to an HTTP server that tells its hostname."""

    process: subprocess.Popen[str]

    def ask(self) -> str:
        """Who answers on this very connection. Fails when the connection had to be made anew."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, "the connection broke"
        said = json.loads(line)
        assert said["same"], "the connection was closed, and another one opened"
        return str(said["answer"]).strip()


@contextmanager
def held(cluster: Cluster, source: str, address: str, port: int) -> Iterator[HeldConnection]:
    """A connection from `source` that is open while the block runs."""
    inside = ["nsenter", f"--net={netns_path(source)}", "python3", "-c", _CLIENT, address, str(port)]
    process = subprocess.Popen(
        cluster.sandbox.command(inside), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield HeldConnection(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(30)

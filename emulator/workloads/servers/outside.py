"""What runs on the hosts outside the cluster, so that egress has somebody to talk to.

HTTP on ports 80 and 8080 tells who called, as services for finding out one's address do; UDP port 7
echoes (RFC 862).
"""

from __future__ import annotations

import json
from functools import partial

from emulator.workloads.servers.program import (
    DatagramListener,
    HttpListener,
    Peer,
    Program,
    Request,
    Response,
)

HTTP_PORTS = (80, 8080)
ECHO_PORT = 7


def internet_host(place: str) -> Program:
    """The servers of `ext/server` and its like."""
    web = [HttpListener(port, partial(_tell, place)) for port in HTTP_PORTS]
    return Program((*web, DatagramListener(ECHO_PORT, _echo)))


async def _tell(place: str, request: Request) -> Response:
    """Who was reached, and by whom."""
    known = {
        "host": place,
        "client": request.client.address,
        "clientPort": request.client.port,
        "method": request.method,
        "path": request.target,
        "headers": dict(request.headers),
    }
    return Response(json.dumps(known, indent=2) + "\n", content_type="application/json")


def _echo(data: bytes, _peer: Peer) -> bytes:
    return data

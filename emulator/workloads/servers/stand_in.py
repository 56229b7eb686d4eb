"""What answers for images that are not in the table: every declared port says where it was reached."""

from __future__ import annotations

import json
from functools import partial

from emulator.workloads.servers.program import (
    Context,
    DatagramListener,
    Declared,
    HttpListener,
    Listener,
    Peer,
    Program,
    Request,
    Response,
    StreamListener,
)


def stand_in(context: Context) -> Program:
    """HTTP on the declared TCP ports, an echo on the UDP and SCTP ones; nothing without ports."""
    listeners = tuple(_listener(context, port) for port in dict.fromkeys(context.ports))
    where = ", ".join(f"{port.port}/{port.protocol.lower()}" for port in context.ports)
    return Program(listeners, (f"standing in for this image on {where or 'no port'}",))


def _listener(context: Context, declared: Declared) -> Listener:
    if declared.protocol == "UDP":
        return DatagramListener(declared.port, partial(_echo, context))
    if declared.protocol == "SCTP":
        return StreamListener(declared.port, _echo_stream, sctp=True)
    return HttpListener(declared.port, partial(_tell, context))


async def _tell(context: Context, request: Request) -> Response:
    """Who was reached, and by whom."""
    context.log(f"{request.client} {request.method} {request.target}")
    known = {
        "pod": context.pod,
        "namespace": context.namespace,
        "node": context.node,
        "container": context.container,
        "hostname": context.hostname,
        "addresses": list(context.addresses),
        "client": request.client.address,
        "clientPort": request.client.port,
        "destination": request.server.address,
        "destinationPort": request.server.port,
        "method": request.method,
        "path": request.target,
        "headers": dict(request.headers),
    }
    return Response(json.dumps(known, indent=2) + "\n", content_type="application/json")


def _echo(context: Context, data: bytes, peer: Peer) -> bytes:
    context.log(f"{peer} {len(data)} bytes")
    return data


async def _echo_stream(reader, writer, _peer) -> None:  # type: ignore[no-untyped-def]
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()

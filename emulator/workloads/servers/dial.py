"""Connections that a server makes itself, from its pod."""

from __future__ import annotations

import asyncio
import ipaddress
import socket

from emulator.workloads.servers.program import Context
from emulator.workloads.servers.serving import inside

_SECONDS = 5.0
_LARGEST = 1 << 20


async def http(context: Context, host: str, port: int, path: str) -> str:
    """GET `path` and return the body. Raises OSError."""
    address = await resolve(context, host)
    where = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    text = f"GET /{path.removeprefix('/')} HTTP/1.0\r\nHost: {where}\r\nConnection: close\r\n\r\n"
    answer = await _exchange(context, socket.SOCK_STREAM, address, port, text.encode())
    return answer.partition(b"\r\n\r\n")[2].decode(errors="replace")


async def udp(context: Context, host: str, port: int, text: str) -> str:
    """Send one datagram and return the answer. Raises OSError."""
    address = await resolve(context, host)
    answer = await _exchange(context, socket.SOCK_DGRAM, address, port, text.encode())
    return answer.decode(errors="replace")


async def resolve(context: Context, host: str) -> str:
    """The address of a name, as programs in the container find it. Raises OSError."""
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        status, output = await context.run(("getent", "ahosts", host))
    if status or not output:
        raise OSError(f"lookup {host}: no such host")
    return output.split()[0].decode()


async def _exchange(
    context: Context, kind: socket.SocketKind, address: str, port: int, question: bytes
) -> bytes:
    """Send `question`; everything that comes back until the other side closes, or one datagram."""
    loop = asyncio.get_running_loop()
    with inside(context.netns):
        connection = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
    connection.setblocking(False)
    with connection:
        try:
            async with asyncio.timeout(_SECONDS):
                await loop.sock_connect(connection, (address, port))
                await loop.sock_sendall(connection, question)
                answer = await loop.sock_recv(connection, _LARGEST)
                while kind == socket.SOCK_STREAM and (more := await loop.sock_recv(connection, _LARGEST)):
                    answer += more
                return answer
        except TimeoutError:
            raise OSError(f"dial {address}:{port}: i/o timeout") from None

"""HTTP over a connection that stays open, as a browser speaks it."""

from __future__ import annotations

import asyncio
import http.client
import io
import socket
from dataclasses import replace
from urllib.parse import urlsplit

from emulator.probes.observation import HttpReply
from emulator.probes.request import HttpGet, IPAddress
from emulator.probes.tls import ServerCertificate, client_context, shown_by

_MOST_BODY = 1 << 20


class Conversation:
    """Requests and responses, one after another, over one connected socket."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        get: HttpGet,
        host: str,
        certificate: ServerCertificate | None = None,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._get = get
        self._host = host
        self._certificate = certificate

    @classmethod
    async def over(
        cls, sock: socket.socket, get: HttpGet, address: IPAddress, port: int | None
    ) -> Conversation:
        """Take over a connected socket; for HTTPS, agree on keys first. Raises OSError."""
        literal = f"[{address}]" if address.version == 6 else str(address)
        host = get.host or f"{literal}:{port}"
        if get.scheme == "http":
            reader, writer = await asyncio.open_connection(sock=sock, limit=_MOST_BODY)
            return cls(reader, writer, get, host)
        name = urlsplit(f"//{host}").hostname or str(address)
        reader, writer = await asyncio.open_connection(
            sock=sock, limit=_MOST_BODY, ssl=client_context(), server_hostname=name
        )
        shown = shown_by(writer.get_extra_info("ssl_object"), name)
        return cls(reader, writer, get, host, shown)

    async def ask(self, connection: str) -> HttpReply:
        """One request and its response; `connection` is `keep-alive` or `close`.

        Raises OSError when the connection breaks and http.client.HTTPException for what is no HTTP.
        """
        self._writer.write(_request(self._get, self._host, connection))
        await self._writer.drain()
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
            body = await self._body(head)
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                raise ConnectionResetError(
                    104, "the server closed the connection without a response"
                ) from error
            raise http.client.IncompleteRead(error.partial) from error
        except asyncio.LimitOverrunError as error:
            raise http.client.LineTooLong("response head") from error
        return replace(parse_http(head + body, self._get.method), certificate=self._certificate)

    @staticmethod
    def ends_with(reply: HttpReply) -> bool:
        """Whether the server announces that it closes the connection after `reply`."""
        fields = {name.lower(): value.lower() for name, value in reply.headers.items()}
        if reply.version < 11:
            return fields.get("connection") != "keep-alive"
        return fields.get("connection") == "close"

    async def is_closed_within(self, seconds: float) -> bool:
        """Wait for the server to say something unasked or to close; false when it stays quiet so long."""
        if not seconds:
            return self._reader.at_eof()
        reading = asyncio.ensure_future(self._reader.read(1))
        done, _ = await asyncio.wait({reading}, timeout=seconds)
        reading.cancel()
        return bool(done)

    def close(self) -> None:
        """Close the connection, at once: its socket is gone when this returns, and TLS would say goodbye."""
        if self._get.scheme == "http":
            self._writer.close()
        else:
            self._writer.transport.abort()

    async def _body(self, head: bytes) -> bytes:
        if self._get.method == "HEAD" or head.split(b" ", 2)[1:2] in ([b"204"], [b"304"]):
            return b""
        headers = http.client.parse_headers(io.BytesIO(head.partition(b"\r\n")[2]))
        if headers.get("Transfer-Encoding", "").lower() == "chunked":
            return await self._chunks()
        length = headers.get("Content-Length")
        if length is not None and length.isdecimal():
            return await self._reader.readexactly(int(length))
        return await self._reader.read(_MOST_BODY)

    async def _chunks(self) -> bytes:
        body = b""
        while True:
            line = await self._reader.readuntil(b"\r\n")
            try:
                size = int(line.partition(b";")[0], 16)
            except ValueError:
                raise http.client.HTTPException(f"not a chunk size: {line!r}") from None
            body += line + await self._reader.readexactly(size + 2)
            if not size:
                return body


def parse_http(data: bytes, method: str = "GET") -> HttpReply:
    """Read a whole HTTP response. Raises http.client.HTTPException when it is none."""
    response = http.client.HTTPResponse(_Bytes(data), method=method)  # type: ignore[arg-type]
    response.begin()
    body = response.read().decode("utf-8", "replace")
    return HttpReply(response.status, response.reason, dict(response.getheaders()), body, response.version)


class _Bytes:
    """The one socket method that HTTPResponse uses."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _mode: str) -> io.BytesIO:
        """The response as a file."""
        return io.BytesIO(self._data)


def _request(get: HttpGet, host: str, connection: str) -> bytes:
    fields = {
        "Host": host,
        "User-Agent": "mininetes",
        "Accept": "*/*",
        "Connection": connection,
        **get.headers,
    }
    if get.body:
        fields["Content-Length"] = str(len(get.body))
    lines = [
        f"{get.method} {get.path or '/'} HTTP/1.1",
        *(f"{name}: {value}" for name, value in fields.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + get.body

#!/usr/bin/env python3
"""wget as the busybox images have it: -q -O -T -S -U -P --header --post-data --post-file --spider.

Debian's busybox is built without -T, and its wget crashes when it is given.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from typing import BinaryIO, NoReturn

_TAKES_VALUE = "OTUPYto"
_LONG_VALUES = frozenset(
    {"header", "post-data", "post-file", "timeout", "user-agent", "output-document", "tries"}
)
_SHORT = {"timeout": "T", "user-agent": "U", "output-document": "O", "tries": "t", "quiet": "q"}
_MOST_REDIRECTS = 5
_CHUNK = 65536


class Options:
    """The command line, read as busybox reads it."""

    def __init__(self, arguments: list[str]) -> None:
        self.flags: set[str] = set()
        self.values: dict[str, str] = {}
        self.headers: list[str] = []
        self.urls: list[str] = []
        pending = list(arguments)
        while pending:
            argument = pending.pop(0)
            if argument.startswith("--"):
                self._read_long(argument[2:], pending)
            elif argument.startswith("-") and argument != "-":
                self._read_short(argument[1:], pending)
            else:
                self.urls.append(argument)

    def _read_long(self, argument: str, pending: list[str]) -> None:
        name, given, value = argument.partition("=")
        if name in _LONG_VALUES and not given and pending:
            value = pending.pop(0)
        if name == "header":
            self.headers.append(value)
        elif name in _LONG_VALUES:
            self.values[_SHORT.get(name, name)] = value
        else:
            self.flags.add(_SHORT.get(name, name))

    def _read_short(self, letters: str, pending: list[str]) -> None:
        for position, letter in enumerate(letters):
            if letter in _TAKES_VALUE:
                self.values[letter] = letters[position + 1 :] or (pending.pop(0) if pending else "")
                return
            self.flags.add(letter)

    @property
    def body(self) -> bytes | None:
        """What to POST."""
        if "post-file" in self.values:
            with open(self.values["post-file"], "rb") as file:
                return file.read()
        return self.values["post-data"].encode() if "post-data" in self.values else None


def main() -> int:
    """Fetch every URL."""
    options = Options(sys.argv[1:])
    if not options.urls:
        fail("missing URL")
    try:
        for url in options.urls:
            fetch(url, options)
    except TimeoutError:
        fail("download timed out")
    except KeyboardInterrupt:
        return 130
    return 0


def fetch(url: str, options: Options) -> None:
    """Fetch one URL and write it where it belongs."""
    for _ in range(_MOST_REDIRECTS):
        scheme, host, port, path = parse(url)
        connection = connect(host, port, scheme, options)
        stream = connection.makefile("rb")
        connection.sendall(request(host, port, path, options))
        status = stream.readline().decode("latin-1").strip()
        headers = dict(read_headers(stream, options, status))
        words = status.split(None, 2)
        if len(words) < 2 or not words[1].isdigit():
            fail("error getting response")
        if words[1] in ("301", "302", "303", "307", "308") and "location" in headers:
            target = headers["location"]
            url = target if "://" in target else f"{scheme}://{host}:{port}{target}"
            connection.close()
            continue
        if not words[1].startswith("2"):
            fail(f"server returned error: {status}")
        if "spider" in options.flags:
            say(options, "remote file exists")
        else:
            save(path, read_body(stream, headers), options)
        connection.close()
        return
    fail("too many redirections")


def parse(url: str) -> tuple[str, str, int, str]:
    """Scheme, host, port and path."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        scheme, rest = "http", url
    if scheme not in ("http", "https"):
        fail(f"not an http or ftp url: {url}")
    where, _, path = rest.partition("/")
    if where.startswith("["):
        host, _, port = where[1:].partition("]")
        port = port.lstrip(":")
    else:
        host, _, port = where.partition(":")
    return scheme, host, int(port or (443 if scheme == "https" else 80)), f"/{path}"


def connect(host: str, port: int, scheme: str, options: Options) -> socket.socket:
    """A connection to the server."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        fail(f"bad address '{host}'")
    shown = str(address[0])
    say(options, f"Connecting to {host} ({shown}:{port})")
    connection = socket.socket(family, kind, protocol)
    connection.settimeout(float(options.values.get("T") or 900))
    try:
        connection.connect(address)
    except TimeoutError:
        raise
    except OSError as error:
        fail(f"can't connect to remote host ({shown}): {error.strerror}")
    return encrypted(connection, host) if scheme == "https" else connection


def encrypted(connection: socket.socket, host: str) -> socket.socket:
    """TLS without verification, as busybox does it."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except ssl.SSLError as error:
        fail(f"TLS error: {error.reason}")


def request(host: str, port: int, path: str, options: Options) -> bytes:
    """The request's text."""
    name = f"[{host}]" if ":" in host else host
    body = options.body
    lines = [
        f"{'GET' if body is None else 'POST'} {path} HTTP/1.1",
        f"Host: {name}" if port in (80, 443) else f"Host: {name}:{port}",
        f"User-Agent: {options.values.get('U', 'Wget')}",
        "Connection: close",
        *options.headers,
    ]
    given = {header.partition(":")[0].lower() for header in options.headers}
    if "host" in given:
        del lines[1]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
        if "content-type" not in given:
            lines.append("Content-Type: application/x-www-form-urlencoded")
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + (body or b"")


def read_headers(stream: BinaryIO, options: Options, status: str) -> Iterator[tuple[str, str]]:
    """The response's headers."""
    if "S" in options.flags:
        print(f"  {status}", file=sys.stderr)
    while line := stream.readline().decode("latin-1").strip():
        if "S" in options.flags:
            print(f"  {line}", file=sys.stderr)
        name, _, value = line.partition(":")
        yield name.lower(), value.strip()


def read_body(stream: BinaryIO, headers: dict[str, str]) -> Iterator[bytes]:
    """The response's body, as its length or its chunks say."""
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int(stream.readline().partition(b";")[0] or b"0", 16):
            yield stream.read(size)
            stream.readline()
        return
    left = int(headers["content-length"]) if "content-length" in headers else -1
    while left and (data := stream.read(_CHUNK if left < 0 else min(left, _CHUNK))):
        left -= len(data) if left > 0 else 0
        yield data


def save(path: str, chunks: Iterator[bytes], options: Options) -> None:
    """Write the body to standard output or a file."""
    name = options.values.get("O") or path.partition("?")[0].rpartition("/")[2] or "index.html"
    if name == "-":
        say(options, "writing to stdout")
        for data in chunks:
            os.write(1, data)
        say(options, "written to stdout")
        return
    if "O" not in options.values:
        name = os.path.join(options.values.get("P", ""), name)
        if os.path.exists(name):
            fail(f"can't open '{name}': File exists")
    say(options, f"saving to '{name}'")
    try:
        with open(name, "wb") as file:
            file.writelines(chunks)
    except OSError as error:
        fail(f"can't open '{name}': {error.strerror}")
    say(options, f"'{name}' saved")


def say(options: Options, text: str) -> None:
    """Report, unless told to be quiet."""
    if "q" not in options.flags:
        print(text, file=sys.stderr)


def fail(message: str) -> NoReturn:
    """Say what went wrong and exit with 1."""
    print(f"wget: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())

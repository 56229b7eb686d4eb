#!/usr/bin/env python3
"""nc as the busybox images have it: -l -k -p -u -n -v -w -z -s -e -i.

Debian's busybox is built with a smaller one, which lacks -z, -v and -u.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from typing import NoReturn, TextIO

_TAKES_VALUE = "pwsio"
_CHUNK = 65536


class Options:
    """The command line, read as busybox reads it."""

    def __init__(self, arguments: list[str]) -> None:
        self.flags: set[str] = set()
        self.values: dict[str, str] = {}
        self.program: list[str] = []
        self.words: list[str] = []
        pending = list(arguments)
        while pending:
            argument = pending.pop(0)
            if not argument.startswith("-") or argument == "-":
                self.words.append(argument)
            else:
                self._read(argument[1:], pending)

    def _read(self, letters: str, pending: list[str]) -> None:
        for position, letter in enumerate(letters):
            if letter == "e":
                # Everything after -e belongs to the program.
                self.program = ([letters[position + 1 :]] if letters[position + 1 :] else []) + pending
                pending.clear()
                return
            if letter in _TAKES_VALUE:
                self.values[letter] = letters[position + 1 :] or (pending.pop(0) if pending else "")
                return
            self.flags.add(letter)

    @property
    def timeout(self) -> float | None:
        """Seconds for connecting, and for silence afterwards."""
        return float(self.values["w"]) if self.values.get("w") else None

    @property
    def kind(self) -> socket.SocketKind:
        """TCP or UDP."""
        return socket.SOCK_DGRAM if "u" in self.flags else socket.SOCK_STREAM


def main() -> int:
    """Connect or listen."""
    options = Options(sys.argv[1:])
    try:
        if "l" in options.flags:
            return listen(options)
        if len(options.words) != 2:
            fail("usage: nc [-luvz] [-p PORT] [-w SEC] [-s ADDR] [-e PROG] HOST PORT")
        return connect(options)
    except KeyboardInterrupt:
        return 130


def connect(options: Options) -> int:
    """Talk to a server."""
    host, port = options.words
    try:
        found = socket.getaddrinfo(host, port, type=options.kind)
    except OSError:
        fail(f"bad address '{host}'")
    family, kind, protocol, _, address = found[0]
    shown = str(address[0])
    name = f"{host} ({shown}:{port})"
    connection = socket.socket(family, kind, protocol)
    if "s" in options.values or "p" in options.values:
        connection.bind((options.values.get("s", ""), int(options.values.get("p", 0))))
    connection.settimeout(options.timeout)
    try:
        connection.connect(address)
    except TimeoutError:
        fail(f"{name}: Connection timed out")
    except OSError as error:
        fail(f"{name}: {error.strerror}")
    if "v" in options.flags:
        print(f"{name} open", file=sys.stderr)
    return 0 if "z" in options.flags else serve(connection, options)


def listen(options: Options) -> int:
    """Wait for a client, or with -k for one after the other."""
    port = int(options.values.get("p") or (options.words or ["0"])[-1])
    listener = socket.socket(socket.AF_INET6 if socket.has_ipv6 else socket.AF_INET, options.kind)
    if listener.family == socket.AF_INET6:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.values.get("s", ""), port))
        if options.kind == socket.SOCK_STREAM:
            listener.listen(5)
    except OSError as error:
        fail(f"bind: {error.strerror}")
    if "v" in options.flags:
        print(f"listening on [::]:{listener.getsockname()[1]} ...", file=sys.stderr)
    while True:
        status = serve(accept(listener, options), options)
        if "k" not in options.flags:
            return status


def accept(listener: socket.socket, options: Options) -> socket.socket:
    """The next conversation; for UDP, with whoever speaks first."""
    if options.kind == socket.SOCK_STREAM:
        connection, peer = listener.accept()
        if "v" in options.flags:
            print(f"connect to {connection.getsockname()[0]} from {peer[0]}:{peer[1]}", file=sys.stderr)
        return connection
    _, peer = listener.recvfrom(_CHUNK, socket.MSG_PEEK)
    listener.connect(peer)
    return listener


def serve(connection: socket.socket, options: Options) -> int:
    """Join the connection to a program, or to standard input and output."""
    connection.settimeout(None)
    if not options.program:
        return relay(connection, options.timeout)
    child = os.fork()
    if child == 0:
        for stream in (0, 1, 2):
            os.dup2(connection.fileno(), stream)
        os.execvp(options.program[0], options.program)
    connection.close()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def relay(connection: socket.socket, timeout: float | None) -> int:
    """Copy both ways until the other side ends, or is silent for `timeout` seconds after our input ended."""
    sources: list[socket.socket | TextIO] = [connection, sys.stdin]
    while True:
        waiting = timeout if len(sources) == 1 or connection.type == socket.SOCK_DGRAM else None
        ready, _, _ = select.select(sources, [], [], waiting)
        if not ready:
            return 0
        if sys.stdin in ready:
            data = os.read(0, _CHUNK)
            if data:
                connection.sendall(data)
            else:
                sources.remove(sys.stdin)
                if connection.type == socket.SOCK_STREAM:
                    connection.shutdown(socket.SHUT_WR)
        if connection in ready:
            try:
                data = connection.recv(_CHUNK)
            except OSError as error:
                fail(f"read error: {error.strerror}")
            if not data and connection.type == socket.SOCK_STREAM:
                return 0
            os.write(1, data)


def fail(message: str) -> NoReturn:
    """Say what went wrong and exit with 1."""
    print(f"nc: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())

"""Databases and caches, as far as a client gets without data: greetings, pings, small stores."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial

from emulator.workloads.servers.arguments import Flags
from emulator.workloads.servers.program import Context, Peer, Program, StreamListener

_POSTGRES_VERSION = "16.4"
_MYSQL_VERSION = "8.4.2"
_SSL_REQUEST = 80877103
_GSS_REQUEST = 80877104
_LARGEST_MESSAGE = 1 << 16
_OK = b"+OK\r\n"
_ONE = range(1, 2)
_SOME = range(1, 1 << 16)
_ANY = range(1 << 16)


def redis(context: Context) -> Program:
    """Redis: PING, ECHO, SET, GET, DEL, EXISTS, INCR, KEYS, INFO and the like, in memory."""
    port = Flags.parse(context.arguments).number("port", 6379)
    keys = _Keys(context.hostname)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _peer: Peer) -> None:
        while words := await _redis_command(reader):
            writer.write(keys.answer(words))
            await writer.drain()

    return Program((StreamListener(port, converse),), ("* Ready to accept connections tcp",))


def postgres(context: Context) -> Program:
    """PostgreSQL: takes any user, and answers every query with no rows."""
    port = Flags.parse(context.arguments).number("p", int(context.environment.get("PGPORT") or 5432))
    greeting = f'listening on IPv4 address "0.0.0.0", port {port}'
    return Program(
        (StreamListener(port, _postgres),), (greeting, "database system is ready to accept connections")
    )


def mysql(context: Context) -> Program:
    """MySQL and MariaDB: the greeting that every client waits for, then access denied."""
    port = Flags.parse(context.arguments).number("port", 3306)
    greeting = f"ready for connections. Version: '{_MYSQL_VERSION}'  port: {port}"
    return Program((StreamListener(port, _mysql),), (greeting,))


def memcached(context: Context) -> Program:
    """memcached: set, get, version, in memory."""
    values: dict[bytes, bytes] = {}
    port = Flags.parse(context.arguments).number("p", 11211)
    return Program((StreamListener(port, partial(_memcached, values)),))


def silent(port: int) -> Callable[[Context], Program]:
    """A server that takes connections on `port` and says nothing: its protocol lets the client begin."""

    def program(context: Context) -> Program:
        ports = [declared.port for declared in context.ports if declared.protocol == "TCP"] or [port]
        return Program(tuple(StreamListener(number, _silent) for number in dict.fromkeys(ports)))

    return program


async def _silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter, _peer: Peer) -> None:
    while await reader.read(_LARGEST_MESSAGE):
        pass


async def _redis_command(reader: asyncio.StreamReader) -> list[bytes]:
    """One command, in the array form or as a plain line; empty at the end."""
    line = (await reader.readline()).strip()
    if not line.startswith(b"*"):
        return line.split()
    words = []
    for _ in range(int(line[1:])):
        size = int((await reader.readline()).strip()[1:])
        words.append((await reader.readexactly(size + 2))[:-2])
    return words


class _Keys:
    """Redis' commands on its keys, each by its name; what they return is the answer."""

    def __init__(self, hostname: str) -> None:
        self._values: dict[bytes, bytes] = {}
        self._hostname = hostname
        self._commands: dict[bytes, tuple[range, Callable[..., bytes]]] = {
            b"PING": (range(2), lambda *words: _bulk(words[0]) if words else b"+PONG\r\n"),
            b"ECHO": (_ONE, _bulk),
            b"SET": (range(2, 9), self._set),
            b"GET": (_ONE, lambda key: _bulk(self._values.get(key))),
            b"INCR": (_ONE, lambda key: self._add(key, 1)),
            b"DECR": (_ONE, lambda key: self._add(key, -1)),
            b"DEL": (_SOME, lambda *keys: _count(self._values.pop(key, None) is not None for key in keys)),
            b"EXISTS": (_SOME, lambda *keys: _count(key in self._values for key in keys)),
            b"KEYS": (_ONE, lambda _pattern: _list(self._values)),
            b"INFO": (_ANY, lambda *_sections: self._info()),
            b"COMMAND": (_ANY, lambda *_words: _list(())),
            **dict.fromkeys(
                (b"SELECT", b"AUTH", b"CLIENT", b"FLUSHALL", b"QUIT"), (_ANY, lambda *_words: _OK)
            ),
        }

    def answer(self, words: Sequence[bytes]) -> bytes:
        """Carry out one command."""
        if words[0].upper() not in self._commands:
            return b"-ERR unknown command '" + words[0] + b"'\r\n"
        arity, command = self._commands[words[0].upper()]
        if len(words) - 1 not in arity:
            return b"-ERR wrong number of arguments for '" + words[0].lower() + b"' command\r\n"
        return command(*words[1:])

    def _set(self, key: bytes, value: bytes, *_options: bytes) -> bytes:
        self._values[key] = value
        return _OK

    def _add(self, key: bytes, amount: int) -> bytes:
        try:
            value = int(self._values.get(key, b"0")) + amount
        except ValueError:
            return b"-ERR value is not an integer or out of range\r\n"
        self._values[key] = str(value).encode()
        return b":%d\r\n" % value

    def _info(self) -> bytes:
        return _bulk(f"redis_version:7.2.5\r\nhostname:{self._hostname}\r\nrole:master\r\n".encode())


def _count(matches: Iterable[bool]) -> bytes:
    return b":%d\r\n" % sum(matches)


def _list(items: Collection[bytes]) -> bytes:
    return b"*%d\r\n" % len(items) + b"".join(_bulk(item) for item in items)


def _bulk(value: bytes | None) -> bytes:
    return b"$-1\r\n" if value is None else b"$%d\r\n%s\r\n" % (len(value), value)


async def _postgres(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _peer: Peer) -> None:
    while True:
        size, code = struct.unpack("!II", await reader.readexactly(8))
        await reader.readexactly(min(size, _LARGEST_MESSAGE) - 8)
        if code not in (_SSL_REQUEST, _GSS_REQUEST):
            break
        writer.write(b"N")
    writer.write(_pg(b"R", struct.pack("!I", 0)))
    for name, value in (("server_version", _POSTGRES_VERSION), ("client_encoding", "UTF8")):
        writer.write(_pg(b"S", f"{name}\0{value}\0".encode()))
    writer.write(_pg(b"Z", b"I"))
    while True:
        kind = await reader.readexactly(1)
        (size,) = struct.unpack("!I", await reader.readexactly(4))
        await reader.readexactly(min(size, _LARGEST_MESSAGE) - 4)
        if kind == b"X":
            return
        if kind == b"Q":
            writer.write(_pg(b"C", b"SELECT 0\0") + _pg(b"Z", b"I"))
            await writer.drain()


def _pg(kind: bytes, body: bytes) -> bytes:
    return kind + struct.pack("!I", len(body) + 4) + body


async def _mysql(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, peer: Peer) -> None:
    version = _MYSQL_VERSION.encode() + b"\0"
    capabilities = 0x000FF7FF
    salt = b"mininetes-salt-20byt"
    greeting = (
        b"\x0a" + version + struct.pack("<I", 1) + salt[:8] + b"\0" + struct.pack("<H", capabilities & 0xFFFF)
    )
    greeting += b"\x21" + struct.pack("<HHB", 2, capabilities >> 16, 21) + b"\0" * 10 + salt[8:] + b"\0"
    greeting += b"mysql_native_password\0"
    writer.write(_mysql_packet(0, greeting))
    header = await reader.readexactly(4)
    await reader.readexactly(int.from_bytes(header[:3], "little"))
    denied = f"Access denied for user from '{peer.address}'".encode()
    writer.write(_mysql_packet(header[3] + 1, b"\xff" + struct.pack("<H", 1045) + b"#28000" + denied))


def _mysql_packet(sequence: int, body: bytes) -> bytes:
    return len(body).to_bytes(3, "little") + bytes([sequence]) + body


async def _memcached(
    values: dict[bytes, bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _peer: Peer
) -> None:
    while words := (await reader.readline()).split():
        if words[0] == b"set" and len(words) >= 5:
            values[words[1]] = (await reader.readexactly(int(words[4]) + 2))[:-2]
            writer.write(b"STORED\r\n")
        elif words[0] == b"get":
            for key in words[1:]:
                if key in values:
                    writer.write(b"VALUE %s 0 %d\r\n%s\r\n" % (key, len(values[key]), values[key]))
            writer.write(b"END\r\n")
        elif words[0] == b"version":
            writer.write(b"VERSION 1.6.29\r\n")
        elif words[0] == b"quit":
            return
        else:
            writer.write(b"ERROR\r\n")
        await writer.drain()

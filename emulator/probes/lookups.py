"""Looking a name up from a place, as a program there would: real questions by its own resolver settings.

The order is that of the C library: the hosts file, then for each name of the search list both families at
once; the first name that has an address ends the search. A server that does not answer is asked again.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from emulator.cluster.dns import wire
from emulator.cluster.dns.model import Answer, Question, Rcode
from emulator.cluster.wiring import IPAddress
from emulator.probes.netns import within
from emulator.probes.request import Family
from emulator.probes.resolver import Resolver

_PORT = 53
_TYPES: dict[int, str] = {4: "A", 6: "AAAA"}
HOSTS = "/etc/hosts"


class LookupFailedError(LookupError):
    """A name has no address here; the message says why. `lookups` are the questions asked."""

    def __init__(self, message: str, lookups: tuple[Lookup, ...]) -> None:
        super().__init__(message)
        self.lookups = lookups


@dataclass(frozen=True, slots=True)
class Lookup:
    """One question and what came of it."""

    name: str
    type: str
    server: str
    """An address, or the hosts file."""
    outcome: str
    """A response code such as NXDOMAIN; `timeout`, `refused` (a closed port) or `unreachable` without one."""
    answers: tuple[str, ...] = ()
    transport: str = "udp"
    milliseconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """As a report has it."""
        return {
            "name": self.name,
            "type": self.type,
            "server": self.server,
            "transport": self.transport,
            "outcome": self.outcome,
            "answers": list(self.answers),
            "milliseconds": round(self.milliseconds, 3),
        }


@dataclass(frozen=True, slots=True)
class Found:
    """The addresses of a name: those that can be reached first, and of these IPv4.

    So RFC 6724 orders the private addresses that pods have, and so does the C library: by whether there is
    a way, for which no packet is sent.
    """

    addresses: tuple[IPAddress, ...]
    lookups: tuple[Lookup, ...]


async def look_up(
    netns: Path | None, resolver: Resolver, name: str, family: Family | None, patience: float
) -> Found:
    """Find the addresses of `name` from a network namespace, in one family or (None) both.

    A server is waited for no longer than `patience` seconds. Raises LookupFailedError.
    """
    wanted = {4: ("A",), 6: ("AAAA",), None: ("A", "AAAA")}[family]
    local = tuple(a for a in resolver.known(name) if _TYPES[a.version] in wanted)
    if local:
        said = Lookup(name, _TYPES[local[0].version], HOSTS, Rcode.NOERROR, tuple(map(str, local)), "file")
        return Found(await within(netns, partial(_reachable_first, local)), (said,))
    seconds = min(resolver.seconds, patience)
    lookups: list[Lookup] = []
    for candidate in resolver.candidates(name):
        asking = (_ask(netns, resolver, Question(candidate, kind), seconds) for kind in wanted)
        tried = await asyncio.gather(*asking)
        lookups += [lookup for tries in tried for lookup in tries]
        finals = [tries[-1] for tries in tried if tries]
        addresses = tuple(_address(text) for lookup in finals for text in lookup.answers)
        if addresses:
            return Found(await within(netns, partial(_reachable_first, addresses)), tuple(lookups))
        if not finals or any(lookup.outcome not in Rcode.__members__ for lookup in finals):
            break
    raise LookupFailedError(_reason(name, resolver, lookups), tuple(lookups))


async def _ask(
    netns: Path | None, resolver: Resolver, question: Question, seconds: float
) -> Sequence[Lookup]:
    """Ask one server after another, as often as the settings say, until one answers."""
    tried: list[Lookup] = []
    for _ in range(resolver.attempts):
        for server in resolver.nameservers:
            lookup = await _ask_one(netns, server, question, seconds, over_tcp=resolver.over_tcp)
            tried.append(lookup)
            if lookup.outcome in (Rcode.NOERROR, Rcode.NXDOMAIN):
                return tried
    return tried


async def _ask_one(
    netns: Path | None, server: str, question: Question, seconds: float, *, over_tcp: bool
) -> Lookup:
    clock = asyncio.get_running_loop()
    began = clock.time()
    transport, answer, outcome = "tcp" if over_tcp else "udp", Answer(), ""
    try:
        async with asyncio.timeout(seconds):
            is_cut = False
            if not over_tcp:
                answer, is_cut = await _over_udp(netns, server, question)
            if over_tcp or is_cut:
                transport = "tcp"
                answer = await _over_tcp(netns, server, question)
        outcome = answer.rcode.value
    except TimeoutError:
        outcome = "timeout"
    except ConnectionRefusedError:
        outcome = "refused"
    except (OSError, EOFError):
        outcome = "unreachable"
    answers = tuple(record.data for record in answer.records if record.type == question.type)
    took = 1000 * (clock.time() - began)
    return Lookup(question.name, question.type, server, outcome, answers, transport, took)


async def _over_udp(netns: Path | None, server: str, question: Question) -> tuple[Answer, bool]:
    number = secrets.randbelow(1 << 16)
    opened = await within(netns, partial(_connected, server, socket.SOCK_DGRAM))
    loop = asyncio.get_running_loop()
    with opened:
        await loop.sock_sendall(opened, wire.ask(question, number))
        while True:
            data = await loop.sock_recv(opened, wire.LARGEST)
            found = wire.read_answer(data, question, number)
            if found is not None:
                return found


async def _over_tcp(netns: Path | None, server: str, question: Question) -> Answer:
    number = secrets.randbelow(1 << 16)
    opened = await within(netns, partial(_unconnected, server, socket.SOCK_STREAM))
    try:
        await asyncio.get_running_loop().sock_connect(opened, (server, _PORT))
    except BaseException:
        opened.close()
        raise
    reader, writer = await asyncio.open_connection(sock=opened)
    try:
        data = wire.ask(question, number)
        writer.write(len(data).to_bytes(2) + data)
        length = int.from_bytes(await reader.readexactly(2))
        found = wire.read_answer(await reader.readexactly(length), question, number)
    finally:
        writer.close()
    if found is None:
        raise OSError("no answer to the question")
    return found[0]


def _unconnected(server: str, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if ":" in server else socket.AF_INET
    return socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)


def _connected(server: str, kind: socket.SocketKind) -> socket.socket:
    opened = _unconnected(server, kind)
    try:
        opened.connect((server, _PORT))
    except OSError:
        opened.close()
        raise
    return opened


def _reachable_first(addresses: Sequence[IPAddress]) -> tuple[IPAddress, ...]:
    """For the network namespace that this runs in."""
    return tuple(sorted(addresses, key=lambda address: not _reaches(str(address))))


def _reaches(address: str) -> bool:
    """Whether there is a route and a source address."""
    try:
        _connected(address, socket.SOCK_DGRAM).close()
    except OSError:
        return False
    return True


def _address(text: str) -> IPAddress:
    return ip_address(text)


def _reason(name: str, resolver: Resolver, lookups: Sequence[Lookup]) -> str:
    if not resolver.nameservers:
        return f"{name}: there is no name server in the place's resolv.conf"
    last = lookups[-1]
    outcomes = {lookup.outcome for lookup in lookups}
    if outcomes <= {Rcode.NXDOMAIN, Rcode.NOERROR}:
        what = "there is no such name" if outcomes == {Rcode.NXDOMAIN} else "it has no address"
        return f"{name}: {what}"
    return f"{name}: name server {last.server}: {last.outcome}"

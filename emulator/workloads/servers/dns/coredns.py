"""CoreDNS: what its Corefile says, from the cluster's own objects."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Iterator
from dataclasses import replace
from ipaddress import ip_address

from emulator.cluster.dns import wire
from emulator.cluster.dns.model import Answer, Question, Rcode, Record
from emulator.cluster.dns.records import answer, is_within, zone_of
from emulator.cluster.dns.view import View
from emulator.workloads.servers.arguments import Flags
from emulator.workloads.servers.dns import forward
from emulator.workloads.servers.dns.corefile import (
    Block,
    Corefile,
    CorefileError,
    Forward,
    Kubernetes,
    absolute,
    parse_corefile,
)
from emulator.workloads.servers.dns.listening import listeners
from emulator.workloads.servers.dns.rules import restored, rewritten
from emulator.workloads.servers.program import (
    Context,
    HttpListener,
    Listener,
    Peer,
    Program,
    ProgramError,
    Request,
    Response,
)

_CONFIGURATION = "/etc/coredns/Corefile"
_USUAL = b". {\n whoami\n}\n"
"""What CoreDNS does without a Corefile, but that nobody is told who they are here."""
_MOST_KEPT = 1 << 16
"""Answers that are kept at most."""


def coredns(context: Context) -> Program:
    """CoreDNS: the cluster's names by the DNS specification of Kubernetes, others forwarded."""
    server = _Server(context)
    corefile = server.corefile
    ports = sorted({block.port for block in corefile.blocks})
    found: list[Listener] = []
    for port in ports:
        found += listeners(port, _OnPort(server, port).answer)
    for number, handler in (
        (corefile.ready_port, server.ready),
        (corefile.health_port, server.health),
        (corefile.metrics_port, server.metrics),
    ):
        if number:
            found.append(HttpListener(number, handler))
    zones = [f"{zone}:{block.port}" for block in corefile.blocks for zone in block.zones]
    return Program(tuple(found), (*corefile.notices, *zones, "CoreDNS-1.12.1"), linger=corefile.lameduck)


class _OnPort:
    """The server blocks of one port."""

    def __init__(self, server: _Server, port: int) -> None:
        self._server = server
        self._port = port

    def answer(self, query: wire.Query, peer: Peer, transport: str) -> bytes | Awaitable[bytes]:
        """Answer at once what concerns the cluster, and later what has to be asked for elsewhere."""
        return self._server.answer(query, peer, transport, self._port)


class _Server:
    """One CoreDNS."""

    def __init__(self, context: Context) -> None:
        self._context = context
        flags = Flags.parse(context.arguments)
        self._path = flags.text("conf", _CONFIGURATION)
        self._read = b""
        self.corefile: Corefile
        self._kept: dict[tuple[str, str], tuple[float, Answer]] = {}
        self._view: tuple[int, View] | None = None
        self._turn = 0
        self._requests: Counter[tuple[str, str, str]] = Counter()
        try:
            self._read = self._text()
            self.corefile = parse_corefile(self._read.decode(errors="replace"))
        except CorefileError as error:
            raise ProgramError(str(error)) from error

    # -- answering

    def answer(self, query: wire.Query, peer: Peer, transport: str, port: int) -> bytes | Awaitable[bytes]:
        """The answer to a question, or a promise of one."""
        assert query.question is not None
        self._reload()
        block = self._block(query.question, port)
        if block is None:
            return self._reply(query, Answer(Rcode.REFUSED), peer, transport, None)
        question = rewritten(query.question, block.rewrites)
        found = self._at_once(block, question)
        if found is not None and not found.chase:
            return self._reply(query, restored(found, question, query.question), peer, transport, block)
        return self._elsewhere(query, question, found, peer, transport, block)

    async def _elsewhere(
        self,
        query: wire.Query,
        question: Question,
        found: Answer | None,
        peer: Peer,
        transport: str,
        block: Block,
    ) -> bytes:
        """What another server says, alone or behind a CNAME of the cluster's."""
        assert query.question is not None
        over_tcp = transport == "tcp"
        if found is None:
            whole = await self._forward(block, question, over_tcp=over_tcp)
        else:
            target = replace(question, name=found.chase)
            rest = self._at_once(block, target) or await self._forward(block, target, over_tcp=over_tcp)
            whole = replace(found, records=(*found.records, *rest.records))
        answered = restored(whole, question, query.question)
        return self._reply(query, answered, peer, transport, block, is_recursive=found is None)

    def _at_once(self, block: Block, question: Question) -> Answer | None:
        """What the block's own table and the cluster say; None when it has to be asked for elsewhere."""
        listed = block.hosts.answer(question) if block.hosts else None
        return listed or self._from_cluster(block, question)

    def _block(self, question: Question, port: int) -> Block | None:
        """The server block with the longest zone that the name lies in."""
        blocks = {zone: block for block in self.corefile.blocks if block.port == port for zone in block.zones}
        zone = zone_of(question.name, tuple(blocks))
        return None if zone is None else blocks[zone]

    def _from_cluster(self, block: Block, question: Question) -> Answer | None:
        """What the plugin `kubernetes` says; None when the name is left to the next one."""
        plugin = block.kubernetes
        if plugin is None or zone_of(question.name, plugin.zones) is None:
            return None
        cluster = self._context.cluster
        if not cluster.has_synced():
            return Answer(Rcode.SERVFAIL)
        version = cluster.version()
        if self._view is None or self._view[0] != version:
            self._view = version, View(cluster.objects)
        found = answer(self._view[1], plugin.settings, question, serial=int(time.time()))
        return None if _falls_through(plugin, question, found) else found

    async def _forward(self, block: Block, question: Question, *, over_tcp: bool) -> Answer:
        plugin = _forward_for(block, question)
        if plugin is None:
            return Answer(Rcode.REFUSED)
        key, now = (question.lower, question.type), asyncio.get_running_loop().time()
        until, kept = self._kept.get(key, (0.0, None))
        if kept is not None and now < until:
            return _renamed(kept, question, int(until - now) + 1)
        try:
            upstreams = tuple(self._upstreams(plugin))
            got = await forward.ask(self._context.netns, upstreams, question, over_tcp=over_tcp)
        except OSError as error:
            self._context.log(f"[ERROR] plugin/errors: 2 {question.name} {question.type}: {error}")
            return Answer(Rcode.SERVFAIL)
        self._keep(block, question, got, now)
        return got

    def _keep(self, block: Block, question: Question, got: Answer, now: float) -> None:
        if block.cache is None or any(is_within(question.name, zone) for zone in block.cache.not_kept):
            return
        ttls = [record.ttl for record in (*got.records, *got.authority)]
        if ttls and got.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN) and len(self._kept) < _MOST_KEPT:
            self._kept[question.lower, question.type] = now + min(block.cache.longest, *ttls), got

    def _upstreams(self, plugin: Forward) -> Iterator[Peer]:
        for word in plugin.upstreams:
            if "/" in word and not word.startswith("dns://"):
                words = [line.split() for line in self._context.read(word).decode().splitlines()]
                yield from (Peer(line[1], forward.PORT) for line in words if line[:1] == ["nameserver"])
            else:
                yield _peer(word.removeprefix("dns://"))

    def _reply(
        self,
        query: wire.Query,
        found: Answer,
        peer: Peer,
        transport: str,
        block: Block | None,
        *,
        is_recursive: bool = False,
    ) -> bytes:
        question = query.question
        assert question is not None
        if block is not None and block.shuffles:
            found = self._turned(found)
        limit = wire.LARGEST if transport == "tcp" else query.limit
        data = wire.reply(query, found, limit, is_recursive=is_recursive)
        self._requests[transport, question.type, found.rcode.value] += 1
        if block is not None and block.logs:
            asked = f'"{question.type} IN {question.name} {transport} {len(query.message.to_wire())}"'
            self._context.log(f"[INFO] {peer} - {query.message.id} {asked} {found.rcode} {len(data)}")
        return data

    def _turned(self, found: Answer) -> Answer:
        """The addresses in another order each time, as the plugin `loadbalance` has it."""
        addresses = [record for record in found.records if record.type in ("A", "AAAA")]
        if len(addresses) < 2:
            return found
        self._turn += 1
        start = self._turn % len(addresses)
        others = [record for record in found.records if record.type not in ("A", "AAAA")]
        return replace(found, records=(*others, *addresses[start:], *addresses[:start]))

    # -- what is not about names

    async def ready(self, _request: Request) -> Response:
        """The plugin `ready`: whether every plugin could answer."""
        if self._context.cluster.has_synced():
            return Response("OK")
        return Response("kubernetes", 503)

    async def health(self, _request: Request) -> Response:
        """The plugin `health`."""
        return Response("OK")

    async def metrics(self, _request: Request) -> Response:
        """The plugin `prometheus`, with the one counter that tells about traffic."""
        lines = ["# TYPE coredns_dns_responses_total counter"]
        for (transport, kind, rcode), count in sorted(self._requests.items()):
            labels = f'proto="{transport}",type="{kind}",rcode="{rcode}"'
            lines.append(f"coredns_dns_responses_total{{{labels}}} {count}")
        return Response("\n".join(lines) + "\n")

    # -- configuration

    def _text(self) -> bytes:
        try:
            return self._context.read(self._path)
        except FileNotFoundError as error:
            if not self._context.arguments:
                return _USUAL
            raise ProgramError(f"open {self._path}: no such file or directory") from error
        except OSError as error:
            raise ProgramError(f"open {self._path}: {(error.strerror or '').lower()}") from error

    def _reload(self) -> None:
        """Take a changed Corefile; one with a mistake leaves everything as it was, and says so."""
        try:
            text = self._text()
        except ProgramError:
            return
        if text == self._read:
            return
        self._read = text
        try:
            self.corefile = parse_corefile(text.decode(errors="replace"))
        except CorefileError as error:
            self._context.log(f"[ERROR] Restart failed: {error}")
            return
        self._kept.clear()
        for notice in self.corefile.notices:
            self._context.log(notice)
        self._context.log("[INFO] Reloading complete")


def _falls_through(plugin: Kubernetes, question: Question, found: Answer) -> bool:
    return found.rcode is Rcode.NXDOMAIN and zone_of(question.name, plugin.fallthrough) is not None


def _forward_for(block: Block, question: Question) -> Forward | None:
    fitting = [
        one
        for one in block.forwards
        if is_within(question.name, one.zone)
        and not any(is_within(question.name, zone) for zone in one.excluded)
    ]
    return max(fitting, key=lambda one: len(one.zone), default=None)


def _renamed(kept: Answer, question: Question, ttl: int) -> Answer:
    """An answer that was kept, for a question of perhaps another case, with what is left of its time."""

    def fresh(record: Record) -> Record:
        name = question.name if absolute(record.name) == question.lower else record.name
        return replace(record, name=name, ttl=min(record.ttl, ttl))

    return replace(kept, records=tuple(map(fresh, kept.records)), authority=tuple(map(fresh, kept.authority)))


def _peer(word: str) -> Peer:
    """`10.0.0.1`, `10.0.0.1:5353`, `fd00::1` or `[fd00::1]:53`. Raises OSError for a name."""
    address, port = word, ""
    if word.startswith("["):
        address, _, port = word[1:].partition("]")
        port = port.removeprefix(":")
    elif word.count(":") == 1:
        address, _, port = word.partition(":")
    try:
        return Peer(str(ip_address(address)), int(port or forward.PORT))
    except ValueError:
        raise OSError(f"not an IP address or file: {word!r}") from None

"""Reading a Corefile: which names a CoreDNS serves, and how (as the manual of CoreDNS has it).

Plugins that play no part in what the network sees (`errors`, `loop`, `reload`, ...) are accepted; one that
would change answers and is not played here is named in the log, once, so that nobody waits for its effect.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from emulator.cluster.dns.model import PodMode, Settings
from emulator.workloads.servers.arguments import seconds
from emulator.workloads.servers.dns.rules import Hosts, Rewrite, read_hosts, read_rewrite

_SILENT = frozenset({"errors", "loop", "reload", "debug", "log", "loadbalance", "cache"})
"""Plugins that need nothing but to be there, or are read where their one argument counts."""
_REVERSE = ("in-addr.arpa.", "ip6.arpa.")


class CorefileError(ValueError):
    """The file makes no sense; the message says where, as CoreDNS does: `Corefile:3 - Error: ...`."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One plugin of a server block, with its block."""

    name: str
    arguments: tuple[str, ...]
    options: tuple[tuple[str, ...], ...]
    line: int


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """The plugin `kubernetes`."""

    zones: tuple[str, ...]
    settings: Settings
    fallthrough: tuple[str, ...] = ()
    """Zones whose missing names are left to the next plugin."""


@dataclass(frozen=True, slots=True)
class Forward:
    """The plugin `forward`."""

    zone: str
    upstreams: tuple[str, ...]
    """Addresses, `ADDRESS:PORT`, or a file like resolv.conf."""
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cache:
    """The plugin `cache`: how long answers are kept, in seconds, and whose are not."""

    longest: int = 3600
    not_kept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A server block: zones on a port, and what answers there."""

    zones: tuple[str, ...]
    port: int = 53
    kubernetes: Kubernetes | None = None
    forwards: tuple[Forward, ...] = ()
    cache: Cache | None = None
    hosts: Hosts | None = None
    rewrites: tuple[Rewrite, ...] = ()
    shuffles: bool = False
    logs: bool = False


@dataclass(frozen=True, slots=True)
class Corefile:
    """All of a file."""

    blocks: tuple[Block, ...]
    ready_port: int = 0
    health_port: int = 0
    metrics_port: int = 0
    lameduck: float = 0.0
    """Seconds for which the server goes on once it is asked to stop."""
    notices: tuple[str, ...] = ()


@dataclass(slots=True)
class _Draft:
    blocks: list[Block] = field(default_factory=list)
    ports: dict[str, int] = field(default_factory=dict)
    lameduck: float = 0.0
    notices: dict[str, None] = field(default_factory=dict)


def parse_corefile(text: str) -> Corefile:
    """Read a Corefile. Raises CorefileError."""
    draft = _Draft()
    for keys, directives, line in _server_blocks(_lines(text)):
        draft.blocks.append(_block(keys, directives, line, draft))
    if not draft.blocks:
        raise CorefileError("Corefile:1 - Error: there is no server block")
    return Corefile(
        tuple(draft.blocks),
        draft.ports.get("ready", 0),
        draft.ports.get("health", 0),
        draft.ports.get("prometheus", 0),
        draft.lameduck,
        tuple(draft.notices),
    )


# -- structure

_Line = tuple[int, list[str]]


def _lines(text: str) -> list[_Line]:
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            words = list(_words(line))
        except ValueError as error:
            raise CorefileError(f"Corefile:{number} - Error: {error}") from None
        if words:
            found.append((number, words))
    return found


def _words(line: str) -> Iterator[str]:
    """Words, quoted or not; a backslash is one, as regular expressions need it. Raises ValueError."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split, lexer.escape = True, ""
    yield from lexer


def _server_blocks(lines: Sequence[_Line]) -> Iterator[tuple[list[str], list[Directive], int]]:
    pending = iter(lines)
    for number, words in pending:
        if words[-1] != "{":
            raise CorefileError(f"Corefile:{number} - Error: expected '{{' behind the zones")
        yield words[:-1], list(_directives(pending, number)), number


def _directives(pending: Iterator[_Line], opened: int) -> Iterator[Directive]:
    for number, words in pending:
        if words == ["}"]:
            return
        name, *arguments = words
        options: tuple[tuple[str, ...], ...] = ()
        if arguments and arguments[-1] == "{":
            arguments = arguments[:-1]
            options = tuple(_options(pending, number))
        yield Directive(name, tuple(arguments), options, number)
    raise CorefileError(f"Corefile:{opened} - Error: the block is not closed")


def _options(pending: Iterator[_Line], opened: int) -> Iterator[tuple[str, ...]]:
    for _, words in pending:
        if words == ["}"]:
            return
        yield tuple(words)
    raise CorefileError(f"Corefile:{opened} - Error: the block is not closed")


# -- meaning


def _block(keys: Sequence[str], directives: Sequence[Directive], line: int, draft: _Draft) -> Block:
    zones, ports = [], set()
    for key in " ".join(keys).replace(",", " ").split():
        zone, colon, port = key.removeprefix("dns://").rpartition(":")
        zones.append(absolute(zone if colon else key))
        ports.add(int(port) if colon and port.isdecimal() else 53)
    if not zones or len(ports) > 1:
        raise CorefileError(f"Corefile:{line} - Error: zones of one port are expected")
    by_name = {directive.name: directive for directive in directives}
    for directive in directives:
        _note_server_wide(directive, draft)
    kubernetes = by_name.get("kubernetes")
    cache = by_name.get("cache")
    return Block(
        tuple(zones),
        ports.pop(),
        _kubernetes(kubernetes, zones, draft) if kubernetes else None,
        tuple(_forward(one) for one in directives if one.name == "forward"),
        _cache(cache) if cache else None,
        _hosts(by_name["hosts"], draft) if "hosts" in by_name else None,
        tuple(_rewrites(directives, draft)),
        shuffles="loadbalance" in by_name,
        logs="log" in by_name,
    )


def _note_server_wide(directive: Directive, draft: _Draft) -> None:
    """What concerns the whole process: ports of its own, and what has no effect."""
    usual = {"ready": 8181, "health": 8080, "prometheus": 9153}
    if directive.name in usual:
        port = directive.arguments[0].rpartition(":")[2] if directive.arguments else ""
        draft.ports[directive.name] = int(port) if port.isdecimal() else usual[directive.name]
        for option in directive.options:
            if option[0] == "lameduck" and len(option) > 1:
                draft.lameduck = _seconds(option[1], directive.line)
    elif directive.name not in {*_SILENT, "kubernetes", "forward", "hosts", "rewrite"}:
        draft.notices[f"Corefile:{directive.line}: plugin {directive.name} has no effect here"] = None


def _seconds(text: str, line: int) -> float:
    try:
        return seconds(text)
    except ValueError as error:
        raise CorefileError(f"Corefile:{line} - Error: {error}") from None


def _kubernetes(directive: Directive, zones: Sequence[str], draft: _Draft) -> Kubernetes:
    served = [absolute(word) for word in directive.arguments] or list(zones)
    forward = [zone for zone in served if not zone.endswith(_REVERSE)]
    if not forward:
        raise CorefileError(f"Corefile:{directive.line} - Error: kubernetes has no zone of names")
    pods, ttl, by_pod_name = PodMode.DISABLED, 5, False
    fallthrough: tuple[str, ...] = ()
    for name, *values in directive.options:
        match name, values:
            case "pods", [mode]:
                pods = _mode(mode, directive.line)
            case "ttl", [number] if number.isdecimal() and int(number) <= 3600:
                ttl = int(number)
            case "endpoint_pod_names", []:
                by_pod_name = True
            case "fallthrough", _:
                fallthrough = tuple(absolute(zone) for zone in values) or (".",)
            case _:
                draft.notices[f"kubernetes: option {' '.join((name, *values))} has no effect here"] = None
    settings = Settings(
        forward[0], pods, ttl, by_pod_name, tuple(zone for zone in served if zone.endswith(_REVERSE))
    )
    return Kubernetes(tuple(served), settings, fallthrough)


def _mode(word: str, line: int) -> PodMode:
    try:
        return PodMode(word)
    except ValueError:
        known = ", ".join(mode.value for mode in PodMode)
        raise CorefileError(
            f"Corefile:{line} - Error: wrong value for pods: {word}, one of {known}"
        ) from None


def _forward(directive: Directive) -> Forward:
    if len(directive.arguments) < 2:
        raise CorefileError(f"Corefile:{directive.line} - Error: forward needs a zone and an upstream")
    zone, *upstreams = directive.arguments
    excluded = tuple(
        absolute(word) for name, *words in directive.options if name == "except" for word in words
    )
    return Forward(absolute(zone), tuple(upstreams), excluded)


def _hosts(directive: Directive, draft: _Draft) -> Hosts:
    try:
        found, unread = read_hosts(directive.options)
    except ValueError as error:
        raise CorefileError(f"Corefile:{directive.line} - Error: hosts: {error}") from None
    for word in (*directive.arguments[:1], *unread):
        draft.notices[f"hosts: {word} has no effect here"] = None
    return found


def _rewrites(directives: Sequence[Directive], draft: _Draft) -> Iterator[Rewrite]:
    """Every rule of `rewrite`; in the form of a block it is the line that begins with `name`."""
    for directive in directives:
        if directive.name != "rewrite":
            continue
        lines = [option for option in directive.options if option[0] == "name"]
        for words in lines if directive.options else [directive.arguments]:
            try:
                found = read_rewrite(words)
            except ValueError as error:
                raise CorefileError(f"Corefile:{directive.line} - Error: {error}") from None
            if found is not None:
                yield found
            else:
                draft.notices[f"rewrite: {' '.join(words)} has no effect here"] = None


def _cache(directive: Directive) -> Cache:
    longest = next((int(word) for word in directive.arguments if word.isdecimal()), 3600)
    not_kept = {
        absolute(word)
        for name, *words in directive.options
        if name == "disable"
        for word in (words[1:] or ["."])
    }
    return Cache(longest, tuple(sorted(not_kept)))


def absolute(name: str) -> str:
    """A name with its last dot, in lower case."""
    return name.lower().rstrip(".") + "."

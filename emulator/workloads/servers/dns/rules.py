"""Two plugins that people add to their Corefile: `hosts`, a table of their own, and `rewrite` of names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address

from emulator.cluster.dns.model import Answer, Question, Rcode, Record
from emulator.cluster.dns.records import address_of_reverse, zone_of
from emulator.cluster.wiring import IPAddress

_HOSTS_TTL = 3600
_KINDS = ("exact", "prefix", "suffix", "substring", "regex")


@dataclass(frozen=True, slots=True)
class Hosts:
    """A table of names and addresses, which comes before all other plugins but `rewrite`."""

    entries: tuple[tuple[str, IPAddress], ...]
    ttl: int = _HOSTS_TTL
    fallthrough: tuple[str, ...] = ()

    def answer(self, question: Question) -> Answer | None:
        """What the table says; None for a name that is left to the next plugin.

        A name that is not in it and goes nowhere else fails: the table has no SOA record to say no with.
        """
        records = tuple(self._records(question))
        if records or any(name == question.lower for name, _ in self.entries):
            return Answer(records=records)
        return None if zone_of(question.name, self.fallthrough) else Answer(Rcode.SERVFAIL)

    def _records(self, question: Question) -> Iterator[Record]:
        reverse = address_of_reverse(question.lower) if question.type == "PTR" else None
        for name, address in self.entries:
            kind = "A" if address.version == 4 else "AAAA"
            if (name, kind) == (question.lower, question.type):
                yield Record(question.name, kind, str(address), self.ttl)
            elif reverse == address:
                yield Record(question.name, "PTR", name, self.ttl)


@dataclass(frozen=True, slots=True)
class Rewrite:
    """One rule of `rewrite name`: the first that fits changes the name that is looked for."""

    kind: str
    pattern: str
    target: str

    def apply(self, name: str) -> str | None:
        """The name to look for instead of `name` (both in lower case, absolute); None if it does not fit."""
        bare = name.rstrip(".")
        match self.kind:
            case "exact":
                fits = bare == self.pattern.rstrip(".")
                return _absolute(self.target) if fits else None
            case "prefix" if bare.startswith(self.pattern):
                return _absolute(self.target + bare.removeprefix(self.pattern))
            case "suffix" if bare.endswith(self.pattern.rstrip(".")):
                return _absolute(bare.removesuffix(self.pattern.rstrip(".")) + self.target)
            case "substring" if self.pattern in bare:
                return _absolute(bare.replace(self.pattern, self.target))
            case "regex":
                found = re.search(self.pattern, name) or re.search(self.pattern, bare)
                return _absolute(self._filled(found)) if found else None
        return None

    def _filled(self, found: re.Match[str]) -> str:
        """The target with `{1}`, `{2}`, ... replaced by the groups."""
        return re.sub(r"\{(\d)\}", lambda number: _group(found, int(number[1])), self.target)


def read_hosts(options: Sequence[Sequence[str]]) -> tuple[Hosts, tuple[str, ...]]:
    """The table in a block of `hosts`, and the options of it that have no effect. Raises ValueError."""
    entries: list[tuple[str, IPAddress]] = []
    ttl = _HOSTS_TTL
    zones: tuple[str, ...] = ()
    unread: list[str] = []
    for word, *words in options:
        if word == "fallthrough":
            zones = tuple(map(_absolute, words)) or (".",)
        elif word == "ttl" and words and words[0].isdecimal():
            ttl = int(words[0])
        elif word in ("no_reverse", "reload"):
            unread.append(word)
        else:
            address = ip_address(word)
            entries += [(_absolute(name), address) for name in words]
    return Hosts(tuple(entries), ttl, zones), tuple(unread)


def read_rewrite(words: Sequence[str]) -> Rewrite | None:
    """`[continue|stop] name [exact|prefix|suffix|substring|regex] FROM TO [...]`; None for other forms.

    Raises ValueError for a regular expression that is none.
    """
    rest = [word for word in words if word not in ("continue", "stop")]
    if not rest or rest[0] != "name":
        return None
    rest = rest[1:]
    kind = rest.pop(0) if rest and rest[0] in _KINDS else "exact"
    if len(rest) < 2:
        return None
    if kind == "regex":
        try:
            re.compile(rest[0])
        except re.error as error:
            raise ValueError(f"invalid regex pattern in a rewrite rule: {error}") from None
    lower = rest[0] if kind == "regex" else rest[0].lower()
    return Rewrite(kind, lower, rest[1].lower())


def rewritten(question: Question, rules: Sequence[Rewrite]) -> Question:
    """The question to look for instead; the same when no rule fits."""
    for rule in rules:
        name = rule.apply(question.lower)
        if name is not None:
            return replace(question, name=name)
    return question


def restored(found: Answer, looked_for: Question, asked: Question) -> Answer:
    """An answer with the name that was asked in place of the one that was looked for."""
    if looked_for.name == asked.name:
        return found

    def back(record: Record) -> Record:
        return replace(record, name=asked.name) if record.name.lower() == looked_for.lower else record

    return replace(found, records=tuple(map(back, found.records)))


def _absolute(name: str) -> str:
    return name.lower().rstrip(".") + "."


def _group(found: re.Match[str], number: int) -> str:
    return (found[number] or "") if number <= (found.re.groups or 0) else ""

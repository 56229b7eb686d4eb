"""Questions by `dig` in a pod: many in one go, their answers read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from emulator import Cluster

_HEADER = re.compile(r";; ->>HEADER<<- opcode: QUERY, status: (\w+), id: \d+\n;; flags: ([^;]*);")


@dataclass(frozen=True)
class Dug:
    """One answer."""

    status: str
    flags: frozenset[str]
    sections: dict[str, list[str]] = field(default_factory=dict)

    @property
    def answer(self) -> list[str]:
        """The records as `TYPE data`, sorted: their order changes from one answer to the next."""
        return sorted(_short(line) for line in self.sections.get("ANSWER", ()))

    @property
    def authority(self) -> list[str]:
        return [" ".join(line.split()) for line in self.sections.get("AUTHORITY", ())]

    @property
    def additional(self) -> list[str]:
        return sorted(_short(line) for line in self.sections.get("ADDITIONAL", ()))

    @property
    def owners(self) -> set[str]:
        return {line.split()[0] for line in self.sections.get("ANSWER", ())}

    @property
    def ttls(self) -> set[int]:
        return {int(line.split()[1]) for line in self.sections.get("ANSWER", ())}


def dig(cluster: Cluster, pod: str, questions: Iterable[tuple[str, ...]], *options: str) -> list[Dug]:
    """Ask every question, which is a name, a type and options, from a pod; in order."""
    # `+nodefaults` would be easier, but each question has to repeat what is global otherwise.
    common = ("+noall", "+comments", "+answer", "+authority", "+additional", "+tries=1", "+time=5", *options)
    words = [word for question in questions for word in question]
    done = cluster.exec(pod, ["dig", *common, *words])
    assert done.exit_code == 0, done.stdout + done.stderr
    return list(map(_read, done.stdout.split(";; Got answer:\n")[1:]))


def _read(text: str) -> Dug:
    header = _HEADER.search(text)
    assert header, text
    sections: dict[str, list[str]] = {}
    name = ""
    for line in text.splitlines():
        if found := re.match(r";; (\w+) SECTION:", line):
            name = found[1]
        elif line and not line.startswith(";"):
            sections.setdefault(name, []).append(line)
    return Dug(header[1], frozenset(header[2].split()), sections)


def _short(line: str) -> str:
    return " ".join(line.split()[3:])

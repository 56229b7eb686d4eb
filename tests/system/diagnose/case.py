"""A case: something is wrong on purpose, a question is asked, and the cause must be found by looking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from emulator import Cluster

Object = dict[str, Any]


def nothing(_: Cluster) -> None:
    """What there is to do when objects alone make the case."""


@dataclass(frozen=True)
class Case:
    """One row of docs/diagnose.md, and a test."""

    name: str
    """Of the test, and of the namespace where its objects live."""
    situation: str
    """What is wrong, for the page: `targetPort is 9999, and the container listens at 8080`."""
    code: str
    object: str
    """The cause that must be named; `{ns}` is the case's namespace."""
    source: str
    target: str
    ports: tuple[str | None, ...] = ("80/tcp", "81/udp")
    """Each of them is asked for, in one of the families."""
    objects: tuple[Object, ...] = ()
    families: tuple[int, ...] = (4, 6)
    http: str = ""
    prepare: Callable[[Cluster], None] = nothing
    """Brings it about, where objects do not, and returns when it is so."""
    more: tuple[tuple[str, str], ...] = ()
    """Codes and objects of what the packet meets after that, if the first cause were gone."""
    sick: bool = False
    """Its pods will never be Ready: nobody waits for that."""

    def asked(self) -> Iterator[tuple[int, str | None]]:
        """Families and ports: each of both once, in pairs, so that TCP and UDP, IPv4 and IPv6 all occur."""
        for number in range(max(len(self.families), len(self.ports))):
            yield self.families[number % len(self.families)], self.ports[number % len(self.ports)]

    def causes(self) -> list[tuple[str, str]]:
        """All codes and objects that must be named, in order."""
        return [(code, self.filled(about)) for code, about in ((self.code, self.object), *self.more)]

    def filled(self, text: str) -> str:
        """`text` with the case's namespace."""
        return text.replace("{ns}", self.name)


def named(diagnosis: Object) -> list[tuple[str, str]]:
    """The codes and objects of a diagnosis, in its order."""
    return [(cause["code"], cause["object"]) for cause in diagnosis["causes"]]

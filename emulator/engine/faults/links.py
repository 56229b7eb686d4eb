"""Faults of links: cut, impaired, or with a small MTU."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from emulator.cluster.cables import find_cable, name_of
from emulator.cluster.faults.fault import Fault
from emulator.cluster.faults.kind import FaultMistake, Value
from emulator.cluster.faults.links import LINKS, impairment_of
from emulator.cluster.impairments import Impairment, words
from emulator.cluster.wiring import Link, LinkEnd
from emulator.engine.faults.handler import Handler, Plan
from emulator.network.errors import NetemUnavailable
from emulator.network.shaping import How

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

_HOW = {
    How.NETEM: "by netem, whose choices follow no seed",
    How.RELAY: "by the relay",
    How.TOKEN_BUCKET: "by tbf",
}


class Troubled(Handler):
    """A link is in trouble. Several faults of one link add up; of one field, the latest counts."""

    def __init__(self, engine: Engine, kind: str) -> None:
        super().__init__(engine)
        self._kind = kind

    async def plan(self, arguments: Mapping[str, Value]) -> Plan:
        """The link is there, and the machine can do it."""
        link = self._link(str(arguments["link"]))
        impairment = self._impairment(arguments)
        network, troubled = self.engine.network, replace(link, impairment=impairment)
        try:
            await asyncio.to_thread(network.refuse_impossible, [troubled])
        except NetemUnavailable as missing:
            raise FaultMistake("", str(missing), "see what there is: mininetes doctor") from None
        did = _told(troubled, await asyncio.to_thread(network.impairs_by, impairment))
        ends = [[end.place, end.interface, end.bridge] for end in link.ends]
        return Plan((did,), {"ends": ends, "mtu": link.mtu})

    async def impose(self, fault: Fault) -> None:  # noqa: ARG002
        """All active faults of links, this one among them, are brought into force."""
        await self._settle()

    async def clear(self, fault: Fault) -> None:  # noqa: ARG002
        """What is left of them is: this one is not among them any more."""
        await self._settle()

    async def _settle(self) -> None:
        links = troubled_links(self.engine.wiring.links, self.engine.faults.active)
        await asyncio.to_thread(self.engine.network.impair, links)

    def _impairment(self, arguments: Mapping[str, Value]) -> Impairment:
        impairment = impairment_of(self._kind, arguments)
        assert impairment is not None
        return impairment

    def _link(self, word: str) -> Link:
        cable = self.engine.network.cable_of(word.removeprefix("pod/"))
        if cable is not None:
            return cable
        try:
            return find_cable(self.engine.wiring, word)
        except LookupError as wrong:
            raise FaultMistake("link", f"there is no one link {word!r}", str(wrong)) from None


def troubled_links(planned: Iterable[Link], faults: Sequence[Fault]) -> list[Link]:
    """The links that faults are about, each with what the topology and all its faults make of it."""
    found = {link.ends: link for link in planned}
    changed: dict[tuple[LinkEnd, LinkEnd], Link] = {}
    for fault in faults:
        impairment = impairment_of(fault.kind, fault.arguments)
        if impairment is None:
            continue
        near, far = (LinkEnd(*end) for end in fault.memo["ends"])
        link = changed.get((near, far)) or found.get((near, far)) or Link((near, far), mtu=fault.memo["mtu"])
        seed = int(fault.arguments.get("seed", link.seed))
        changed[near, far] = replace(link, impairment=link.impairment.under(impairment), seed=seed)
    return list(changed.values())


def _told(link: Link, how: How) -> str:
    name, impairment = name_of(link), link.impairment
    if impairment.down:
        return f"cut the link {name}"
    if impairment.mtu:
        return f"the link {name} carries packets of {impairment.mtu} bytes at most"
    return f"impaired the link {name} in each direction: {words(impairment)} ({_HOW[how]})"


LINK_HANDLERS: Mapping[str, Callable[[Engine], Handler]] = {
    kind.name: partial(Troubled, kind=kind.name) for kind in LINKS
}

"""What can be seen of a cluster's machinery whoever asks: cables, tunnels, connections' room, daemons.

Nothing here changes anything. One look serves all who ask while the one before is under way.
"""

from __future__ import annotations

import asyncio
import errno
import re
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from controllers import unixctl
from emulator.cluster.advertisement import peerings
from emulator.cluster.bird import session
from emulator.cluster.impairments import SOUND, Impairment
from emulator.cluster.wiring import IPAddress, Link, Wiring
from emulator.engine.birds import birds
from emulator.engine.relaying import relay_of
from emulator.engine.together import Together
from emulator.network import birdc, sighting
from emulator.network.errors import NetworkError
from emulator.network.names import netns_path
from emulator.network.queueing import impairments
from emulator.probes.netns import inside
from emulator.verdict.diagnose.sights import Cable, Speaker, Zone
from emulator.workloads.servers.kube_proxy import HEALTHZ_PORT

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

_AT_ONCE = 0.1
"""Seconds that a stack is given to answer itself."""
_LIMIT = re.compile(r"^zone=(\d+),limit=(\d+),count=(\d+)", re.MULTILINE)


@dataclass(slots=True)
class Glance:
    """What was seen; each field as in `Sights`."""

    cables: tuple[Cable, ...] = ()
    tunnels: Mapping[str, Mapping[str, IPAddress]] = field(default_factory=dict)
    zones: tuple[Zone, ...] = ()
    speakers: tuple[Speaker, ...] = ()
    silent_proxies: frozenset[str] = frozenset()


class Glancer:
    """Looks at the machinery of one cluster."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._looking: Together[Glance] = Together(self._look)

    async def glance(self) -> Glance:
        """What there is to see now."""
        seen = Glance()
        await self._looking.do(seen)
        return seen

    async def cables(self, links: Sequence[Link]) -> tuple[Cable, ...]:
        """These links, as they are found; none where nothing can be seen."""
        return await asyncio.to_thread(_cables, links, relay_of(self._engine.run_dir).directory)

    async def _look(self, asking: Sequence[Glance]) -> None:
        wiring = self._engine.wiring
        cables, tunnels = await self.cables(wiring.links), await asyncio.to_thread(sighting.tunnels, wiring)
        zones, speakers = await asyncio.to_thread(_zones, wiring), await self._speakers()
        silent = frozenset(node.name for node in wiring.nodes if not _is_heard(node.name))
        for seen in asking:
            seen.cables, seen.tunnels, seen.zones = cables, tunnels, zones
            seen.speakers, seen.silent_proxies = speakers, silent

    async def _speakers(self) -> tuple[Speaker, ...]:
        daemons = birds(self._engine.wiring, self._engine.run_dir)
        told = await asyncio.gather(*(birdc.sessions(bird) for bird in daemons.values()))
        return tuple(
            Speaker(place, said is not None, _named(self._engine.wiring, place, said or {}))
            for place, said in zip(daemons, told, strict=True)
        )


def _named(wiring: Wiring, place: str, said: Mapping[str, str]) -> Mapping[tuple[str, int], str]:
    """The sessions by their neighbours' places and families."""
    found: dict[tuple[str, int], str] = {}
    for peering in peerings(wiring):
        ends = (f"node/{peering.node.name}", peering.router.place)
        if place not in ends:
            continue
        peer = ends[1] if place == ends[0] else ends[0]
        for family in (4, 6):
            state = said.get(session(peer.partition("/")[2], family))
            if state is not None:
                found[peer, family] = state
    return found


def _is_heard(node: str) -> bool:
    """Whether somebody takes connections at kube-proxy's port of health; so, too, where nobody can tell.

    A stack answers itself at once.
    """
    try:
        with inside(netns_path(f"node/{node}")), socket.socket() as client:
            client.settimeout(_AT_ONCE)
            return client.connect_ex(("127.0.0.1", HEALTHZ_PORT)) != errno.ECONNREFUSED
    except OSError:
        return True


def _cables(links: Sequence[Link], relay: Path) -> tuple[Cable, ...]:
    try:
        found, queues = sighting.wires(links), impairments(None, relay)
    except (OSError, NetworkError):
        return ()
    return tuple(_cable(wire, queues) for wire in found)


def _cable(wire: sighting.Wire, queues: Mapping[str, Impairment]) -> Cable:
    """As it is found; its queues, as far as they are on the switches' side."""
    impairment, link = SOUND, wire.link
    for end in link.ends:
        if end.bridge is not None:
            impairment = impairment.under(queues.get(end.interface, SOUND))
    ends = link.ends[0].place, link.ends[1].place
    return Cable(ends, wire.carries, wire.mtu, link.mtu, impairment, link.impairment)


def _zones(wiring: Wiring) -> tuple[Zone, ...]:
    """How full each bridge's zones are, and the table that all of them share."""
    places = {zone: bridge.place for bridge in wiring.bridges for zone in (bridge.zone, bridge.zone + 1)}
    try:
        text = unixctl.command("dpctl/ct-get-limits", f"zone={','.join(map(str, places))}")
        whole = Zone(
            "", int(unixctl.command("dpctl/ct-get-nconns")), int(unixctl.command("dpctl/ct-get-maxconns"))
        )
    except (OSError, ValueError, unixctl.ControlError):
        return ()
    found = (tuple(map(int, match.groups())) for match in _LIMIT.finditer(text))
    return (*(Zone(places[zone], count, limit) for zone, limit, count in found if zone in places), whole)

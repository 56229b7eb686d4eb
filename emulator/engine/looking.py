"""What can be seen of a cluster's machinery, for diagnoses. Nothing here changes anything; echo requests are
sent to learn whether large packets arrive."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from controllers import unixctl
from controllers.pipeline.stale import Connection, connections, frontends, stale
from emulator.api.errors import ApiError
from emulator.cluster.advertisement import peerings
from emulator.cluster.bird import session
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import PlaceKind, parse_place
from emulator.cluster.wiring import IPAddress, Link, LinkEnd, Wiring
from emulator.engine import probing
from emulator.engine.birds import birds
from emulator.network import birdc, sighting
from emulator.network.cables import HOST_INTERFACE
from emulator.oracle.ask import UnanswerableError, ask
from emulator.oracle.packet import Question
from emulator.probes.listeners import listeners
from emulator.probes.netns import within
from emulator.probes.routes import route_to
from emulator.verdict.diagnose.evidence import Evidence
from emulator.verdict.diagnose.sights import Cable, Sights, Sizes, Speaker, Way, Zone
from emulator.workloads.servers.kube_proxy import HEALTHZ_PORT

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

_SMALL = 100
_HEADERS = {4: 28, 6: 48}
"""Bytes of an echo request beside its payload."""
_PATIENCE = 3.0
"""Seconds to wait for an echo of a small packet."""
_LEAST_PATIENCE, _MANY_TIMES = 0.3, 20
"""A large one is waited for so many seconds, and so many times as long as the small one took."""
_TRIES, _ENOUGH = 3, 2
"""So often both are sent at most; so often the large one alone must be lost."""
_MOST_ENDS = 4
"""Ends that are sent large packets."""
_SETTLING = 2.0
"""Seconds for the controller to forget what the latest change made stale."""
_LIMIT = re.compile(r"^zone=(\d+),limit=(\d+),count=(\d+)", re.MULTILINE)


class Looker:
    """Looks at a cluster on behalf of one question."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def look(self, evidence: Evidence, chart: probing.Map) -> Sights:
        """All that `Sights` has a place for; what cannot be seen stays empty."""
        sizes = asyncio.create_task(self._sizes(evidence))
        return Sights(
            cables=await self._cables(evidence),
            tunnels=await asyncio.to_thread(sighting.tunnels, self._wiring),
            way=await self._way(evidence, chart),
            stale=await self._stale(evidence),
            zones=await asyncio.to_thread(_zones, self._wiring),
            speakers=await self._speakers(),
            silent_proxies=await self._silent_proxies(chart),
            controller_follows=self._engine.has_controller,
            sizes=await sizes,
        )

    @property
    def _wiring(self) -> Wiring:
        return self._engine.wiring

    # -- devices -----------------------------------------------------------------------------------

    async def _cables(self, evidence: Evidence) -> tuple[Cable, ...]:
        links = (*self._wiring.links, *_pod_links(evidence))
        try:
            found = await asyncio.to_thread(sighting.wires, links)
        except OSError:
            return ()
        return tuple(
            Cable((wire.link.ends[0].place, wire.link.ends[1].place), wire.carries, wire.mtu, wire.link.mtu)
            for wire in found
        )

    async def _way(self, evidence: Evidence, chart: probing.Map) -> Way | None:
        if evidence.address is None or evidence.source not in chart.sites:
            return None
        try:
            route = await within(chart.sites[evidence.source].netns, partial(route_to, evidence.address))
        except OSError as error:
            return Way(refusal=str(error.strerror or error))
        return Way(route.interface, route.gateway, route.is_local)

    # -- packets -----------------------------------------------------------------------------------

    async def _sizes(self, evidence: Evidence) -> tuple[Sizes, ...]:
        """Large packets are lost in silence where some device on the way has less room than the plan says."""
        if not evidence.source or parse_place(evidence.source).kind is PlaceKind.EXTERNAL:
            return ()
        ends = list(_ends(evidence))[:_MOST_ENDS]
        found = await asyncio.gather(*(self._size(evidence, place, at) for place, at in ends))
        return tuple(one for one in found if one is not None)

    async def _size(self, evidence: Evidence, place: str, address: IPAddress) -> Sizes | None:
        large, lost = self._wiring.pod_mtu, 0
        # A lost packet is no rule: both are sent again.
        for _ in range(_TRIES):
            begun = time.monotonic()
            if await self._echo(evidence, address, _SMALL, _PATIENCE) is not Outcome.CONNECTED:
                continue
            taken = time.monotonic() - begun
            patience = min(_PATIENCE, _LEAST_PATIENCE + _MANY_TIMES * taken)
            if await self._echo(evidence, address, large, patience) is not Outcome.DROPPED:
                return None
            lost += 1
            if lost == _ENOUGH:
                return Sizes(place, _SMALL, large)
        return None

    async def _echo(self, evidence: Evidence, address: IPAddress, size: int, patience: float) -> Outcome:
        """What becomes of an echo request of so many bytes; DROPPED if nobody says that it is too big."""
        body = {
            "from": evidence.source,
            "to": str(address),
            "size": size - _HEADERS[address.version],
            "dontFragment": True,
            "timeout": patience,
        }
        try:
            report = await probing.probe(evidence.snapshot, body, self._engine.workshop)
        except ApiError:
            return Outcome.ERROR
        return Outcome(report["outcome"])

    # -- connections -------------------------------------------------------------------------------

    async def _stale(self, evidence: Evidence) -> tuple[Connection, ...]:
        found = await asyncio.to_thread(_stale, evidence)
        if not found:
            return ()
        with suppress(TimeoutError):
            async with asyncio.timeout(_SETTLING):
                await self._engine.pulse.until(lambda: self._engine.flows_are_current)
        left = await asyncio.to_thread(_stale, evidence)
        return tuple(one for one in left if one in found)

    # -- daemons -----------------------------------------------------------------------------------

    async def _speakers(self) -> tuple[Speaker, ...]:
        daemons = birds(self._wiring, self._engine.run_dir)
        told = await asyncio.gather(*(birdc.sessions(bird) for bird in daemons.values()))
        return tuple(
            Speaker(place, said is not None, self._named(place, said or {}))
            for place, said in zip(daemons, told, strict=True)
        )

    def _named(self, place: str, said: Mapping[str, str]) -> Mapping[str, str]:
        """The sessions by their neighbours' places."""
        found: dict[str, str] = {}
        for peering in peerings(self._wiring):
            ends = (f"node/{peering.node.name}", peering.router.place)
            if place not in ends:
                continue
            peer = ends[1] if place == ends[0] else ends[0]
            for family in (4, 6):
                state = said.get(session(peer.partition("/")[2], family))
                if state is not None and found.get(peer) in (None, "Established"):
                    found[peer] = state
        return found

    async def _silent_proxies(self, chart: probing.Map) -> frozenset[str]:
        names = [node.name for node in self._wiring.nodes]
        heard = await asyncio.gather(*(self._is_heard(chart, name) for name in names))
        return frozenset(name for name, is_heard in zip(names, heard, strict=True) if not is_heard)

    async def _is_heard(self, chart: probing.Map, node: str) -> bool:
        try:
            found = await within(chart.sites[f"node/{node}"].netns, listeners)
        except OSError:
            return True
        return any((one.port, one.protocol) == (HEALTHZ_PORT, "tcp") for one in found)


def _pod_links(evidence: Evidence) -> Iterator[Link]:
    """The cables of the pods that the question is about."""
    for place in dict.fromkeys((evidence.source, *evidence.arrivals())):
        pod = evidence.typed_pod(place)
        if pod is not None and pod.port is not None:
            bridge = evidence.state.wiring.node(pod.node).bridge
            near = LinkEnd(f"node/{pod.node}", pod.port.interface, bridge)
            yield Link((near, LinkEnd(place, HOST_INTERFACE)), mtu=pod.port.mtu)


def _ends(evidence: Evidence) -> Iterator[tuple[str, IPAddress]]:
    """Where the packet arrives and an echo request may as well, by what the manifests say."""
    spec = evidence.answers.spec
    if spec is None or evidence.answers.happened - {Outcome.CONNECTED}:
        return
    source = parse_place(evidence.source)
    for address, place in {one.address: one.place for one in sorted(spec.endpoints)}.items():
        if place == evidence.source:
            continue
        with suppress(UnanswerableError):
            if ask(evidence.state, Question(source, address, None, None)).outcome is Outcome.CONNECTED:
                yield place, address


def _stale(evidence: Evidence) -> tuple[Connection, ...]:
    """UDP connections of the source with the destination whose other end serves no more."""
    if evidence.address is None or evidence.port is None or evidence.port.protocol != "udp":
        return ()
    try:
        dump = unixctl.command("dpctl/dump-conntrack")
    except (OSError, ValueError, unixctl.ControlError):
        return ()
    asked, own = (evidence.address, evidence.port.number), set(_own_addresses(evidence))
    served = frontends(evidence.state)
    return tuple(
        one for one in stale(connections(dump), served) if one.destination == asked and one.source[0] in own
    )


def _own_addresses(evidence: Evidence) -> Iterable[IPAddress]:
    pod = evidence.typed_pod(evidence.source) if evidence.source else None
    if pod is not None:
        return pod.addresses
    place, wiring = parse_place(evidence.source), evidence.state.wiring
    for node in wiring.nodes:
        if place.kind is PlaceKind.NODE and node.name == place.name:
            return (*(interface.ip for interface in node.addresses), *node.pod_gateways)
    for host in wiring.external:
        if place.kind is PlaceKind.EXTERNAL and host.name == place.name:
            return tuple(interface.ip for interface in host.addresses)
    return ()


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

"""What can be seen of a cluster's machinery, for diagnoses. Nothing here changes anything; echo requests are
sent to learn whether large packets arrive."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from controllers import unixctl
from controllers.pipeline.stale import Connection, connections, frontends, stale
from emulator.api.errors import ApiError
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import PlaceKind, parse_place
from emulator.cluster.wiring import IPAddress, Link, LinkEnd, Wiring
from emulator.engine import probing
from emulator.engine.glancing import Glancer
from emulator.engine.tracing import Tracer
from emulator.network.cables import HOST_INTERFACE
from emulator.oracle.ask import UnanswerableError, ask
from emulator.oracle.packet import Question
from emulator.probes.netns import inside
from emulator.probes.routes import route_to
from emulator.verdict.causes import path
from emulator.verdict.diagnose.evidence import Evidence
from emulator.verdict.diagnose.sights import Cable, Sights, Sizes, Way

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

_SMALL = 100
_HEADERS = {4: 28, 6: 48}
"""Bytes of an echo request beside its payload."""
_PATIENCE = 1.0
"""Seconds to wait for an echo of a small packet."""
_LEAST_PATIENCE, _MANY_TIMES = 0.3, 20
"""A large one is waited for so many seconds, and so many times as long as the small one took."""
_TRIES, _ENOUGH = 3, 2
"""So often both are sent at most; so often the large one alone must be lost."""
_MOST_ENDS = 4
"""Ends that are sent large packets."""
_SETTLING = 2.0
"""Seconds for the controller to forget what the latest change made stale."""


class Looker:
    """Looks at a cluster on behalf of one question after another."""

    def __init__(self, engine: Engine, tracer: Tracer) -> None:
        self._engine = engine
        self._tracer = tracer
        self._glancer = Glancer(engine)

    async def look(self, evidence: Evidence, chart: probing.Map) -> Sights:
        """All that `Sights` has a place for; what cannot be seen stays empty."""
        sizes = asyncio.create_task(self._sizes(evidence, chart))
        seen = await self._glancer.glance()
        sights = Sights(
            cables=(*seen.cables, *await self._glancer.cables(tuple(_pod_links(evidence)))),
            tunnels=seen.tunnels,
            way=_way(evidence, chart),
            stale=await self._stale(evidence),
            zones=seen.zones,
            speakers=seen.speakers,
            silent_proxies=seen.silent_proxies,
            faults=self._engine.faults.active,
            controller_follows=self._engine.has_controller,
            is_current=self._is_current(evidence),
            sizes=await sizes,
        )
        return _with_impaired(evidence, sights)

    async def with_pods(self, evidence: Evidence) -> Sights:
        """What was seen before, and the cables of pods that have come into question since."""
        sights = evidence.sights
        known = {cable.ends for cable in sights.cables}
        links = [x for x in _pod_links(evidence) if (x.ends[0].place, x.ends[1].place) not in known]
        if links:
            seen = (_supposed(cable, evidence) for cable in await self._glancer.cables(links))
            sights = replace(sights, cables=(*sights.cables, *seen))
        return _with_impaired(evidence, sights)

    @property
    def _wiring(self) -> Wiring:
        return self._engine.wiring

    # -- packets -----------------------------------------------------------------------------------

    async def _sizes(self, evidence: Evidence, chart: probing.Map) -> tuple[Sizes, ...]:
        """Large packets are lost in silence where some device on the way has less room than the plan says."""
        if not evidence.source or parse_place(evidence.source).kind is PlaceKind.EXTERNAL:
            return ()
        ends = list(_ends(evidence))[:_MOST_ENDS]
        found = await asyncio.gather(*(self._size(evidence, chart, place, at) for place, at in ends))
        return tuple(one for one in found if one is not None)

    async def _size(
        self, evidence: Evidence, chart: probing.Map, place: str, address: IPAddress
    ) -> Sizes | None:
        large, lost = self._wiring.pod_mtu, 0
        # A lost packet is no rule: both are sent again.
        for _ in range(_TRIES):
            begun = time.monotonic()
            if await self._echo(evidence, chart, address, _SMALL, _PATIENCE) is not Outcome.CONNECTED:
                continue
            taken = time.monotonic() - begun
            patience = min(_PATIENCE, _LEAST_PATIENCE + _MANY_TIMES * taken)
            if await self._echo(evidence, chart, address, large, patience) is not Outcome.DROPPED:
                return None
            lost += 1
            if lost == _ENOUGH:
                return Sizes(place, _SMALL, large)
        return None

    async def _echo(
        self, evidence: Evidence, chart: probing.Map, address: IPAddress, size: int, patience: float
    ) -> Outcome:
        """What becomes of an echo request of so many bytes; DROPPED if nobody says that it is too big."""
        body = {
            "from": evidence.source,
            "to": str(address),
            "size": size - _HEADERS[address.version],
            "dontFragment": True,
            "timeout": patience,
        }
        try:
            report = await probing.probe(evidence.snapshot, body, self._engine.workshop, chart)
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

    def _is_current(self, evidence: Evidence) -> bool:
        """Whether the controller has confirmed as many flows as are computed; programs rarely change and
        stay as long as they were."""
        confirmed = self._engine.programming.bridges
        return all(
            name in confirmed and confirmed[name].flows == len(program.flows)
            for name, program in self._tracer.programs(evidence.state).items()
        )


def _way(evidence: Evidence, chart: probing.Map) -> Way | None:
    """How the sender's own stack would send."""
    if evidence.address is None or evidence.source not in chart.sites:
        return None
    try:
        with inside(chart.sites[evidence.source].netns):
            route = route_to(evidence.address)
    except OSError as error:
        return Way(refusal=str(error.strerror or error))
    return Way(route.interface, route.gateway, route.is_local)


def _supposed(cable: Cable, evidence: Evidence) -> Cable:
    """A node that is supposed to be back has its pods' cables back."""
    nodes = (f"Node/{end.removeprefix('node/')}" for end in cable.ends if end.startswith("node/"))
    return cable if evidence.back.isdisjoint(nodes) else replace(cable, carries=True)


def _with_impaired(evidence: Evidence, sights: Sights) -> Sights:
    """With those cables on the way that harm packets more than planned."""
    found = tuple(cable for cable in path.cables(replace(evidence, sights=sights)) if cable.harm)
    return replace(sights, impaired=found)


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
    trace, happened = evidence.answers.trace, evidence.answers.happened
    if spec is None or happened - {Outcome.CONNECTED} or (trace and trace.outcome is not Outcome.CONNECTED):
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

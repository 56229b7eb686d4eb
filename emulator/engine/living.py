"""`trace --live`: the packet that was traced is sent, and every port that it should pass is watched."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from emulator.api.objects import JsonObject
from emulator.cluster.model import ClusterState
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import Bridge
from emulator.engine.probing import probe
from emulator.probes.capture import Record
from emulator.probes.request import Site
from emulator.probes.session import CaptureSession
from emulator.probes.workshop import Workshop
from emulator.verdict.trace.atlas import Atlas
from emulator.verdict.trace.crossing import Drawn
from emulator.verdict.trace.live import Comparison, compare, drawn
from emulator.verdict.trace.model import Trace
from emulator.verdict.trace.walk import Question

_FIRST_PORT, _PORTS = 20_000, 10_000
"""Source ports for packets that are traced first and sent then: below those that stacks choose."""


def source_port() -> int:
    """One that is hardly in use: the same port makes the same choice of an endpoint."""
    return _FIRST_PORT + secrets.randbelow(_PORTS)


@dataclass(frozen=True, slots=True)
class Traced:
    """A question, the trace that answers it, and who can trace again."""

    question: Question
    trace: Trace
    again: Callable[[Question], Trace]
    """Blocks a moment. Raises OSError and ControlError."""


async def live(
    snapshot: Snapshot, state: ClusterState, body: JsonObject, traced: Traced, workshop: Workshop
) -> tuple[Trace, JsonObject]:
    """Send the traced packet: the trace with what only a real one can tell, and `live` of the answer.

    Raises ApiError, OSError, and what tracing again raises.
    """
    trace = traced.trace
    session = CaptureSession([Site(name, None, name) for name in dict.fromkeys(_watched(state, trace))])
    await session.start()
    try:
        own = trace.packet.source_port if trace.packet and trace.packet.source_port else None
        observed = await probe(snapshot, {**body, "sourcePort": own}, workshop)
    finally:
        capture = session.stop()
    trace = await asyncio.to_thread(_as_drawn, traced, capture.records)
    return trace, _report(trace, compare(trace, capture.records), observed)


def _as_drawn(traced: Traced, records: Sequence[Record]) -> Trace:
    """Traced again with the ports that the packet was given on its way: who comes then chooses by them.

    Each turn knows one more translator's, so there are no more of them than bridges on the way.
    """
    trace = traced.trace
    known: Drawn = {}
    while not (found := drawn(trace, records)).items() <= known.items():
        known = {**known, **found}
        trace = traced.again(replace(traced.question, drawn=known))
    return trace


def _report(trace: Trace, compared: Comparison, observed: JsonObject) -> JsonObject:
    # The tables brought it there; that nobody listens is the endpoint's own word.
    refusals = {str(one.get("from")) for one in observed.get("rejections") or ()}
    own = {str(trace.packet.destination)} if trace.packet else set()
    ends = [leg.packet for leg in trace.legs if leg.packet.ends]
    own |= {str(packet.destination) for packet in ends[-1:]} | {str(packet.source) for packet in ends}
    at_the_end = trace.outcome == "connected" and observed["outcome"] == "rejected" and bool(refusals & own)
    same = at_the_end or observed["outcome"] == trace.outcome
    return {
        "outcome": observed["outcome"],
        "endpoints": sorted(observed.get("endpoints") or {}),
        "seen": observed.get("seen") or [],
        "milliseconds": (observed.get("milliseconds") or {}).get("median"),
        "refusedByEndpoint": at_the_end,
        "hops": [match.as_json() for match in compared.matches],
        "unpredicted": list(compared.unpredicted),
        "agrees": same and compared.agrees,
    }


def _watched(state: ClusterState, trace: Trace) -> Iterator[str]:
    """The ports that it passes, all others of those bridges, and that of a pod which it should not reach.

    Who chooses by a source port that is drawn on the way may send it to any endpoint, by any bridge.
    """
    atlas = Atlas(state)
    bridges: dict[str, Bridge] = {bridge.name: bridge for bridge in state.wiring.bridges}
    if trace.is_open:
        yield from (port.name for bridge in state.wiring.bridges for port in bridge.ports)
        owners = {hop.owner for hop in trace.hops}
        services = (service for service in state.services if service.ref in owners)
        yield from (
            interface
            for service in services
            for port in service.ports
            for endpoint in port.endpoints
            if (interface := atlas.interface_of(endpoint.address)) is not None
        )
    for leg in trace.legs:
        yield leg.interface
        yield from (port.name for port in bridges[leg.bridge].ports)
        pod = atlas.interface_of(leg.packet.destination)
        if pod is not None:
            yield pod

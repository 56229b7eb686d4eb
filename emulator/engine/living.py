"""`trace --live`: the packet that was traced is sent, and every port that it should pass is watched."""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from emulator.api.objects import JsonObject
from emulator.cluster.model import ClusterState
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import Bridge
from emulator.engine.probing import probe
from emulator.probes.request import Site
from emulator.probes.session import CaptureSession
from emulator.probes.workshop import Workshop
from emulator.verdict.trace.atlas import Atlas
from emulator.verdict.trace.live import Comparison, compare
from emulator.verdict.trace.model import Trace

_FIRST_PORT, _PORTS = 20_000, 10_000
"""Source ports for packets that are traced first and sent then: below those that stacks choose."""


def source_port() -> int:
    """One that is hardly in use: the same port makes the same choice of an endpoint."""
    return _FIRST_PORT + secrets.randbelow(_PORTS)


async def live(
    snapshot: Snapshot, state: ClusterState, body: JsonObject, trace: Trace, workshop: Workshop
) -> JsonObject:
    """Send the traced packet; `live` of the answer. Raises ApiError and OSError."""
    session = CaptureSession([Site(name, None, name) for name in dict.fromkeys(_watched(state, trace))])
    await session.start()
    try:
        own = trace.packet.source_port if trace.packet and trace.packet.source_port else None
        observed = await probe(snapshot, {**body, "sourcePort": own}, workshop)
    finally:
        capture = session.stop()
    return _report(trace, compare(trace, capture.records), observed)


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
    """The ports that it passes, all others of those bridges, and that of a pod which it should not reach."""
    atlas = Atlas(state)
    bridges: dict[str, Bridge] = {bridge.name: bridge for bridge in state.wiring.bridges}
    for leg in trace.legs:
        yield leg.interface
        yield from (port.name for port in bridges[leg.bridge].ports)
        pod = atlas.interface_of(leg.packet.destination)
        if pod is not None:
            yield pod

"""The way of a question's packets, as far as it is known: where causes in the machinery are looked for."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from emulator.cluster.outcome import Outcome
from emulator.cluster.places import PlaceKind, parse_place
from emulator.verdict.diagnose.evidence import Evidence
from emulator.verdict.diagnose.sights import Cable


def fails(evidence: Evidence) -> bool:
    """Packets do not fare as the manifests say: the reason lies below them. Without packets, tables count.

    Where it is only supposed that something was mended, whatever is wrong on the way would make it fail.
    """
    answers = evidence.answers
    if evidence.supposed:
        return True
    if answers.happened and answers.expected:
        return not answers.happened <= answers.expected
    return answers.failed or bool(answers.difference)


def stations(evidence: Evidence) -> tuple[str, ...]:
    """The places that packets pass, in the order of the trace; where there is none, both ends."""
    found: list[str] = []
    for trace in (evidence.answers.trace, *evidence.answers.others, evidence.beneath):
        for hop in trace.hops if trace else ():
            if hop.node != "vxlan":
                found.append(_place(evidence, hop.node))
    if evidence.supposed:
        first, *others = (*ends(evidence), "")
        return (first, *found, *filter(None, others))
    return tuple(found) or tuple(ends(evidence))


def nodes(evidence: Evidence) -> tuple[str, ...]:
    """The names of the nodes that packets pass, and of those that the ends live on."""
    passed = (place.removeprefix("node/") for place in stations(evidence) if place.startswith("node/"))
    return tuple(dict.fromkeys((*passed, *filter(None, (home(evidence, place) for place in ends(evidence))))))


def ends(evidence: Evidence) -> Iterator[str]:
    """The source, and the places that are asked for or that spec lets packets arrive at."""
    if evidence.source:
        yield evidence.source
    target = evidence.asked.target
    if target.kind in (PlaceKind.POD, PlaceKind.NODE, PlaceKind.EXTERNAL):
        yield str(target)
    yield from evidence.arrivals()


def home(evidence: Evidence, place: str) -> str:
    """The node that a place is on; empty for one beyond the cluster, or that is not on the network."""
    if place.startswith("node/"):
        return place.removeprefix("node/")
    pod = evidence.typed_pod(place)
    return pod.node if pod is not None else ""


def cables(evidence: Evidence) -> tuple[Cable, ...]:
    """The cables between places that follow each other on the way."""
    steps = {frozenset(step) for step in pairwise(stations(evidence))}
    own = set(ends(evidence))
    return tuple(
        cable
        for cable in evidence.sights.cables
        if frozenset(cable.ends) in steps or (cable.ends[0] != cable.ends[1] and own & set(cable.ends))
    )


def dead_cable(evidence: Evidence) -> Cable | None:
    """The first cable on the way that carries nothing; else one of a route that spreads over several."""
    dead = [cable for cable in cables(evidence) if not cable.carries]
    if dead:
        return dead[0]
    spread = set(_alternatives(evidence))
    return next((cable for cable in evidence.sights.down() if frozenset(cable.ends) in spread), None)


def _alternatives(evidence: Evidence) -> Iterator[frozenset[str]]:
    """The steps that other packets of the same question may take."""
    passed = set(stations(evidence))
    for bridge in evidence.state.wiring.bridges:
        if bridge.place in passed:
            peers = {port.ofport: port.peer for port in bridge.ports}
            for route in bridge.routes:
                if len(route.next_hops) > 1:
                    yield from (frozenset((bridge.place, peers[hop.ofport])) for hop in route.next_hops)


def happens(evidence: Evidence, *outcomes: Outcome) -> bool:
    """Whether packets fare in one of these ways, as far as any were sent."""
    return evidence.supposed or bool(evidence.answers.happened & set(outcomes))


def _place(evidence: Evidence, node: str) -> str:
    """A hop's `worker-1` is the place `node/worker-1`."""
    known = {one.name for one in evidence.state.wiring.nodes}
    return f"node/{node}" if node in known else node


def is_outside(evidence: Evidence) -> bool:
    """Whether the question leads out of the cluster."""
    return any(parse_place(place).kind is PlaceKind.EXTERNAL for place in evidence.arrivals())

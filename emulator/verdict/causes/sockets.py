"""Causes at the receiving end: who listens, and how large packets may be."""

from __future__ import annotations

from emulator.cluster.ingress.controllers import controllers_in
from emulator.cluster.outcome import Outcome
from emulator.oracle.answer import Arrival
from emulator.verdict.causes import path, pods
from emulator.verdict.diagnose.diagnosis import Cause, Code
from emulator.verdict.diagnose.evidence import Evidence

NOT_LISTENING = Code(
    "not-listening",
    "The packet arrives, and no process listens at that port",
    "start the process, or send to the port that it listens at",
)
LOCALHOST_ONLY = Code(
    "listening-on-localhost",
    "The process listens on the loopback address only, which nobody else can reach",
    "let the process listen on 0.0.0.0 or ::, or on the pod's address",
)
INGRESS_PROXY_DOWN = Code(
    "ingress-proxy-down",
    "The proxy of an ingress controller does not run: nobody takes the requests that it would route",
    "start the proxy again",
)
MTU_BLACK_HOLE = Code(
    "mtu-black-hole",
    "Small packets arrive and large ones vanish, and nobody tells the sender that they are too big",
    "give the device the MTU that the pods' interfaces count on, or lower theirs",
)
CODES = (NOT_LISTENING, LOCALHOST_ONLY, INGRESS_PROXY_DOWN, MTU_BLACK_HOLE)


def not_listening(evidence: Evidence) -> Cause | None:
    """Nobody has the port open at one of the ends."""
    spec = evidence.answers.spec
    if spec is None or not path.happens(evidence, Outcome.REJECTED, Outcome.DROPPED, Outcome.MIXED):
        return None
    for arrival in sorted(spec.endpoints):
        cause = _silent(evidence, arrival)
        if cause is not None:
            return cause
    return None


def _silent(evidence: Evidence, arrival: Arrival) -> Cause | None:
    found, port = evidence.listening.get(arrival.place), evidence.port
    if found is None or port is None or arrival.port is None or f"Pod/{arrival.place}" in evidence.back:
        return None
    if any(one.hears(arrival.address, arrival.port, port.protocol) for one in found):
        return None
    where = f"{arrival.port}/{port.protocol}"
    local = [one for one in found if one.address.is_loopback and one.port == arrival.port]
    about, see = _object(evidence, arrival.place), f"mininetes exec {arrival.place} -- ss -lntu"
    if any(one.protocol == port.protocol for one in local):
        said = f"{arrival.place} listens at {local[0]}, and packets are for {arrival.address}"
        return Cause(LOCALHOST_ONLY, about, said, LOCALHOST_ONLY.remedy, see)
    said = f"nothing listens at {arrival.address}:{where} in {arrival.place}"
    pod = evidence.pod(arrival.place)
    if pod is not None and any(arrival.port in (one.http, one.https) for one in controllers_in(pod)):
        return Cause(
            INGRESS_PROXY_DOWN, about, said, INGRESS_PROXY_DOWN.remedy, f"mininetes logs {arrival.place}"
        )
    unsteady = pods.ends_again(pod) if pod is not None and not found else None
    if unsteady is not None:
        return unsteady
    others = sorted({str(one) for one in found if not one.address.is_loopback})
    elsewhere = f"; it listens at {', '.join(others)}" if others else ""
    return Cause(NOT_LISTENING, about, said + elsewhere, NOT_LISTENING.remedy, see)


def mtu_black_hole(evidence: Evidence) -> Cause | None:
    """Echo requests of the pods' MTU are lost, and small ones are not."""
    if not evidence.sights.sizes:
        return None
    one = evidence.sights.sizes[0]
    narrow = min(
        (c for c in path.cables(evidence) if 0 < c.mtu < c.planned_mtu), key=lambda c: c.mtu, default=None
    )
    said = f"{one.small} bytes reach {one.place}, {one.large} do not, and no ICMP error comes back"
    if narrow is None and any(cable.harm.loss or cable.harm.corrupt for cable in evidence.sights.impaired):
        return None
    if narrow is None:
        return Cause(MTU_BLACK_HOLE, str(evidence.asked.target), said, MTU_BLACK_HOLE.remedy)
    said += f"; the link between {narrow} takes {narrow.mtu} bytes of {narrow.planned_mtu}"
    return Cause(MTU_BLACK_HOLE, narrow.object, said, MTU_BLACK_HOLE.remedy, "mininetes diff")


def _object(evidence: Evidence, place: str) -> str:
    if evidence.pod(place) is not None:
        return f"Pod/{place}"
    kind, _, name = place.partition("/")
    return f"{'Host' if kind == 'ext' else kind.title()}/{name}"

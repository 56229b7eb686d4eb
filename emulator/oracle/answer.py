"""What the oracle says: an outcome, who may answer, what that end sees, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from emulator.cluster.model import Protocol, Ref
from emulator.cluster.outcome import Outcome
from emulator.cluster.wiring import IPAddress


class Code(StrEnum):
    """Reasons, for machines."""

    SERVICE = "service"
    """On the way: a Service's frontend was met, and an endpoint chosen."""
    HOST_PORT = "host-port"
    """On the way: a pod's hostPort was met."""
    BALANCED = "balanced"
    """On the way: a load balancer chose a node."""
    MASQUERADED = "masqueraded"
    """On the way: the source became an address of a node or of the NAT gateway."""
    EGRESS_ALLOWED = "egress-allowed"
    INGRESS_ALLOWED = "ingress-allowed"
    DELIVERED = "delivered"
    POLICY_PASSED = "policy-passed"
    """On the way: a ClusterNetworkPolicy left it to the next tier."""
    EGRESS_ISOLATED = "egress-isolated"
    INGRESS_ISOLATED = "ingress-isolated"
    EGRESS_DENIED = "egress-denied"
    """A rule of a ClusterNetworkPolicy says Deny."""
    INGRESS_DENIED = "ingress-denied"
    NO_ENDPOINTS = "no-endpoints"
    NO_LOCAL_ENDPOINT = "no-local-endpoint"
    SOURCE_RANGES = "source-ranges"
    NO_SERVICE_PORT = "no-service-port"
    NO_SUCH_POD = "no-such-pod"
    NO_HEALTHY_NODE = "no-healthy-node"
    UNSOLICITED = "unsolicited"
    """A NAT gateway knows no connection that it belongs to."""
    NO_ROUTE = "no-route"
    NO_LISTENER = "no-listener"
    """Sent to a router's own address, where nothing listens."""
    CIRCLES = "circles"
    """Routes send it round until its TTL is used up."""


_ON_THE_WAY = frozenset({Code.SERVICE, Code.HOST_PORT, Code.BALANCED, Code.MASQUERADED, Code.POLICY_PASSED})
_ALLOWING = frozenset({Code.EGRESS_ALLOWED, Code.INGRESS_ALLOWED, Code.DELIVERED})


@dataclass(frozen=True, slots=True)
class Judged:
    """A packet as a policy judges it: Services have been translated, its source is not masqueraded yet."""

    peer: IPAddress
    """The other end than the policy's own pod."""
    protocol: Protocol | None
    port: int | None
    rule: int = 0
    """The rule of a ClusterNetworkPolicy that means it, from 1; of a NetworkPolicy no one rule decides."""


@dataclass(frozen=True, slots=True)
class Reason:
    """One step of the argument."""

    code: Code
    object: Ref
    sentence: str
    judged: Judged | None = None
    """Where a policy is the reason."""

    def explains(self, outcome: Outcome) -> bool:
        """Whether it is why the outcome is what it is, and not what was met on the way."""
        if outcome is Outcome.CONNECTED:
            return True
        return self.code not in _ON_THE_WAY | _ALLOWING


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """Where a packet may end up. `port` None: the protocol has none."""

    place: str
    address: IPAddress
    port: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What Kubernetes says should become of a new connection, a datagram or an echo request."""

    outcome: Outcome
    """MIXED where it depends on the choice of an endpoint or a route."""
    outcomes: frozenset[Outcome]
    """All that are possible; one, unless it is MIXED."""
    endpoints: frozenset[Arrival]
    """Where it may arrive. Whether something listens there is not the network's matter."""
    sources: frozenset[IPAddress]
    """What those may see as the source; empty where that is not laid down."""
    reasons: tuple[Reason, ...]
    """In the order in which packets meet them, of all choices together."""

    @property
    def explanation(self) -> str:
        """Why it is dropped or rejected, in one line; empty for what arrives."""
        if self.outcome is Outcome.CONNECTED:
            return ""
        failing = [reason for reason in self.reasons if reason.explains(Outcome.DROPPED)]
        return "; ".join(dict.fromkeys(reason.sentence for reason in failing))

    def because_of(self, word: str) -> bool:
        """Whether `word`, an object or a code, is a reason for the outcome."""
        return any(
            word in (str(reason.object), reason.code.value)
            for reason in self.reasons
            if reason.explains(self.outcome)
        )

    def as_json(self) -> dict[str, Any]:
        """`spec` of reports: `outcome` and `reasons` are the contract, the rest is added to it."""
        body: dict[str, Any] = {
            "outcome": self.outcome.value,
            "reasons": [reason.sentence for reason in self.reasons],
            "endpoints": sorted({arrival.place for arrival in self.endpoints}),
            "sources": sorted(map(str, self.sources)),
            "because": sorted(
                {
                    word
                    for reason in self.reasons
                    if reason.explains(self.outcome)
                    for word in (reason.code.value, str(reason.object))
                }
            ),
        }
        if len(self.outcomes) > 1:
            body["outcomes"] = sorted(outcome.value for outcome in self.outcomes)
        if self.explanation:
            body["explanation"] = self.explanation
        return body


def together(answers: Iterable[Answer]) -> Answer:
    """One answer for a choice between several. Raises ValueError when there is none."""
    answers = list(answers)
    outcomes = frozenset(outcome for answer in answers for outcome in answer.outcomes)
    if not outcomes:
        raise ValueError("no answers to put together")
    return Answer(
        outcome=next(iter(outcomes)) if len(outcomes) == 1 else Outcome.MIXED,
        outcomes=outcomes,
        endpoints=frozenset().union(*(answer.endpoints for answer in answers)),
        sources=frozenset().union(*(answer.sources for answer in answers)),
        reasons=tuple(dict.fromkeys(reason for answer in answers for reason in answer.reasons)),
    )

"""What a probe found out, and the JSON contract it is reported in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from emulator.cluster.outcome import Outcome
from emulator.probes.request import ProbeRequest, Protocol
from emulator.probes.tls import ServerCertificate

SERVED_BY = "x-served-by"
"""The header in which our ingress proxy tells what pod it asked."""
UNKNOWN_ENDPOINT = "?"
"""Stands for the place that answered when no watched place did."""


@dataclass(frozen=True, slots=True)
class Seen:
    """Packets of the probe as they arrived at, or left, a place; alike ones are counted."""

    at: str
    source: str
    destination: str
    ttl: int
    source_port: int | None = None
    """Of the first one."""
    destination_port: int | None = None
    count: int = 1

    def as_json(self) -> dict[str, Any]:
        """The contract's spelling; ports are left out where the protocol has none."""
        ports = {"sourcePort": self.source_port, "destinationPort": self.destination_port}
        return {
            "at": self.at,
            "source": self.source,
            "destination": self.destination,
            **{name: port for name, port in ports.items() if port is not None},
            "ttl": self.ttl,
            "count": self.count,
        }


@dataclass(frozen=True, slots=True)
class Quote:
    """The packet that an ICMP error quotes."""

    source: str
    destination: str
    protocol: str
    ttl: int
    source_port: int | None = None
    destination_port: int | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A refusal as it reached the source: `tcp-reset`, or an ICMP error with the packet it quotes."""

    kind: str
    """`tcp-reset`, `icmp`, `icmpv6`, or `unseen` when only the socket knew of it."""
    source: str = ""
    """Who sent it."""
    ttl: int | None = None
    type: int | None = None
    code: int | None = None
    name: str = ""
    """`port-unreachable`, `admin-prohibited`, …"""
    quote: Quote | None = None
    count: int = 1

    def as_json(self) -> dict[str, Any]:
        """Without the fields that do not apply."""
        body: dict[str, Any] = {"kind": self.kind, "from": self.source, "ttl": self.ttl}
        body |= {"type": self.type, "code": self.code, "name": self.name}
        if self.quote is not None:
            body["quotes"] = _without_none(
                source=self.quote.source,
                sourcePort=self.quote.source_port,
                destination=self.quote.destination,
                destinationPort=self.quote.destination_port,
                protocol=self.quote.protocol,
                ttl=self.quote.ttl,
            )
        body = {name: value for name, value in body.items() if value not in (None, "")}
        return body | {"count": self.count}


@dataclass(frozen=True, slots=True)
class HttpReply:
    """One HTTP response."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: str
    version: int = 11
    """10 or 11."""
    certificate: ServerCertificate | None = None
    """HTTPS: what the server showed."""

    @property
    def served_by(self) -> str:
        """The pod behind an ingress proxy, which tells its name; empty where there is none."""
        return next((value for name, value in self.headers.items() if name.lower() == SERVED_BY), "")


@dataclass(frozen=True, slots=True)
class Observation:
    """The answer to a `ProbeRequest`."""

    source: str
    target: str
    port: int | None
    protocol: Protocol
    outcomes: Mapping[Outcome, int]
    endpoints: Mapping[str, int] = field(default_factory=dict)
    """Place that answered → how often; `?` where no watched place did."""
    seen: tuple[Seen, ...] = ()
    """Arrivals at the places that may answer."""
    answers: tuple[Seen, ...] = ()
    """Answers as they reached the source; a wrong source address here is a lost translation."""
    rejections: tuple[Rejection, ...] = ()
    errors: Mapping[str, int] = field(default_factory=dict)
    """What kept the probe from being sent, or made it fail."""
    notes: tuple[str, ...] = ()
    """Doubts about the evidence: a place that could not be watched, packets lost by a capture."""
    http: tuple[tuple[HttpReply, int], ...] = ()
    served_by: Mapping[str, int] = field(default_factory=dict)
    """HTTP through an ingress proxy: pod behind it → how often."""
    exchanges: int = 0
    """HTTP: responses in all, where each connection was to have several."""
    replies: int = 0
    """UDP: datagrams that were answered."""
    reply: str = ""
    """UDP: the first answer's text."""
    address: str = ""
    """The address that the packets were sent to."""
    milliseconds: tuple[float, ...] = ()
    """Time to each answer, in the order of the attempts."""
    captured: tuple[Mapping[str, Any], ...] = ()
    checks: tuple[Mapping[str, Any], ...] = ()
    """How each claim about captured packets fared."""
    crafted: Mapping[str, Any] | None = None
    """What a generator sent and got back."""

    @property
    def outcome(self) -> Outcome:
        """The one outcome, or `mixed`."""
        kinds = [outcome for outcome, count in self.outcomes.items() if count]
        if not kinds:
            return Outcome.ERROR
        return kinds[0] if len(kinds) == 1 else Outcome.MIXED

    @property
    def source_seen(self) -> tuple[str, ...]:
        """Client addresses that the answering places saw."""
        places = [place for place in self.endpoints if place != UNKNOWN_ENDPOINT] or {s.at for s in self.seen}
        return tuple(dict.fromkeys(seen.source for seen in self.seen if seen.at in places))

    def as_json(self, spec: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The `probe` contract; what follows `spec` is added to it, and left out when it says nothing."""
        port = f"{self.port}/{self.protocol}" if self.port is not None else None
        body: dict[str, Any] = {
            "apiVersion": "mininetes.io/v1",
            "kind": "Probe",
            "from": self.source,
            "to": self.target,
            "port": port,
            "outcome": self.outcome.value,
            "outcomes": {outcome.value: count for outcome, count in self.outcomes.items() if count},
            "endpoints": dict(self.endpoints),
            "sourceSeen": list(self.source_seen),
            "seen": [seen.as_json() for seen in self.seen],
            "spec": spec,
            "protocol": self.protocol.value,
            "address": self.address,
        }
        return body | {name: value for name, value in self._additions().items() if value}

    def _additions(self) -> dict[str, Any]:
        times = sorted(self.milliseconds)
        return {
            "answers": [answer.as_json() for answer in self.answers],
            "rejections": [rejection.as_json() for rejection in self.rejections],
            "errors": dict(self.errors),
            "notes": list(self.notes),
            "http": [
                {
                    "status": reply.status,
                    "reason": reply.reason,
                    "headers": dict(reply.headers),
                    "body": reply.body,
                    "count": count,
                    **({"certificate": reply.certificate.as_json()} if reply.certificate else {}),
                }
                for reply, count in self.http
            ],
            "servedBy": dict(self.served_by),
            "exchanges": self.exchanges,
            "replies": self.replies,
            "reply": self.reply,
            "milliseconds": times
            and {"least": times[0], "median": times[len(times) // 2], "most": times[-1]},
            "captured": list(self.captured),
            "checks": list(self.checks),
            "crafted": self.crafted,
        }


def failed(request: ProbeRequest, message: str) -> Observation:
    """The observation of a probe that could not be made at all."""
    return Observation(
        request.source,
        request.target.name,
        request.target.port,
        request.protocol,
        {Outcome.ERROR: request.count},
        errors={message: request.count},
    )


def grouped(packets: Sequence[Seen], varying: Literal["source_port", "destination_port"]) -> tuple[Seen, ...]:
    """Packets that differ in nothing but the `varying` port, counted; the first one's port is kept."""
    groups: dict[Seen, Seen] = {}
    for packet in packets:
        blank = replace(packet, count=1)
        key = (
            replace(blank, source_port=None)
            if varying == "source_port"
            else replace(blank, destination_port=None)
        )
        first = groups.get(key)
        groups[key] = replace(first, count=first.count + packet.count) if first else packet
    return tuple(groups.values())


def rejections_grouped(rejections: Sequence[Rejection]) -> tuple[Rejection, ...]:
    """Alike refusals counted; the first one's quoted source port is kept."""
    groups: dict[Rejection, Rejection] = {}
    for rejection in rejections:
        quote = replace(rejection.quote, source_port=None) if rejection.quote else None
        key = replace(rejection, quote=quote, count=1)
        first = groups.get(key)
        groups[key] = replace(first, count=first.count + rejection.count) if first else rejection
    return tuple(groups.values())


def tally(outcomes: Sequence[Outcome]) -> dict[Outcome, int]:
    """How often each outcome happened, most frequent first."""
    return dict(Counter(outcomes).most_common())


def _without_none(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}

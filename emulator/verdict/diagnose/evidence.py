"""All that is known about one question: the answers to it, the objects, and what was seen running."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from emulator.api.objects import JsonObject
from emulator.cluster.model import ClusterState, Pod, Service
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import Place, PlaceKind, Port, parse_place
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import IPAddress
from emulator.network.cables import HOST_INTERFACE
from emulator.oracle.answer import Answer, Code, Reason
from emulator.probes.listeners import Listener
from emulator.probes.lookups import Lookup
from emulator.verdict.diagnose.sights import Sights
from emulator.verdict.trace.model import Trace

Report = Mapping[str, Any]
"""A `Probe` report: the JSON contract."""

FAILED = (Outcome.ERROR, Outcome.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Answers:
    """What the three say of one and the same packet. None: that one has no answer."""

    spec: Answer | None = None
    trace: Trace | None = None
    wire: Report | None = None
    others: tuple[Trace, ...] = ()
    """Traces of the same with other source ports, where packets fare differently."""

    @property
    def expected(self) -> frozenset[Outcome]:
        """What Kubernetes lets happen; empty where it is not known."""
        return self.spec.outcomes if self.spec else frozenset()

    @property
    def happened(self) -> frozenset[Outcome]:
        """What packets did; a probe that failed proves nothing."""
        counted = {Outcome(word) for word, n in ((self.wire or {}).get("outcomes") or {}).items() if n}
        return frozenset(counted - set(FAILED))

    @property
    def traced(self) -> frozenset[Outcome]:
        """What the switches' flows do."""
        found = (*((self.trace,) if self.trace else ()), *self.others)
        return frozenset(trace.outcome for trace in found)

    @property
    def difference(self) -> str:
        """The first answer that does not fit the one before: `trace`, `wire`, or nothing.

        What depends on chance fits when it is one of the outcomes that may be.
        """
        known: frozenset[Outcome] = self.expected
        for name, said in (("trace", self.traced), ("wire", self.happened)):
            if said and known and not said <= known:
                return name
            if said and name == "trace" and len(known) < 2:
                known = said
        return ""

    @property
    def final(self) -> frozenset[Outcome]:
        """The best that is known of what happens: wire before trace before spec."""
        return self.happened or self.traced or self.expected

    @property
    def failed(self) -> bool:
        """Nothing could be sent at all, or what came of it is unknown: the wire has no outcome."""
        return bool((self.wire or {}).get("outcomes")) and not self.happened

    @property
    def connects(self) -> bool:
        """All three, as far as they answer, say that it arrives, always."""
        said = (self.expected, self.traced, self.happened)
        return any(said) and not self.failed and all(one <= {Outcome.CONNECTED} for one in said)

    def reasons(self, *codes: Code) -> tuple[Reason, ...]:
        """Spec's reasons of these kinds, if what happens is what spec says because of them."""
        if self.spec is None or self.final <= {Outcome.CONNECTED} or not self.final & self.expected:
            return ()
        return tuple(reason for reason in self.spec.reasons if reason.code in codes)


@dataclass(frozen=True, slots=True)
class Asked:
    """The question, in the words of who asks."""

    source: Place
    target: Place
    port: Port | None = None
    http: str = ""
    """A URL or path, where HTTP is spoken."""


@dataclass(frozen=True, slots=True)
class Naming:
    """How the target's name was looked up."""

    lookups: tuple[Lookup, ...] = ()
    failed: str = ""
    """Why it has no address; empty: it has."""
    servers: tuple[IPAddress, ...] = ()
    """The name servers of the source's resolv.conf."""
    candidates: tuple[str, ...] = ()
    """The names that a program there asks for, in turn."""
    way: Answers = field(default_factory=Answers)
    """The way to the first name server, port 53/udp; asked where a server gave no answer."""

    @property
    def answered(self) -> bool:
        """Whether the servers spoke at all."""
        return not any(one.outcome in ("timeout", "refused", "unreachable") for one in self.lookups)


@dataclass(frozen=True)
class Evidence:
    """All that is known. Fields that were not looked into are empty."""

    asked: Asked
    snapshot: Snapshot
    state: ClusterState
    source: str = ""
    """The place that sends, as it was found: `deploy/x` is a pod here. Empty: it is not on the network."""
    address: IPAddress | None = None
    """What was sent to."""
    port: Port | None = None
    answers: Answers = field(default_factory=Answers)
    refusal: str = ""
    """Why the question could not be put to the network at all; empty: it was."""
    naming: Naming | None = None
    """Where the target is a name."""
    drift: tuple[JsonObject, ...] = ()
    """Items of `diff -o json`."""
    listening: Mapping[str, tuple[Listener, ...]] = field(default_factory=dict)
    """What listens at the places where the packet may arrive."""
    sights: Sights = field(default_factory=Sights)
    """What was seen of the machinery."""
    supposed: bool = False
    """It is as if causes that were found were gone: there is a spec, and nothing was sent."""
    beneath: Trace | None = None
    """Where it is supposed: the way between the machines of the ends, where no policy has a say."""
    back: frozenset[str] = frozenset()
    """Nodes and pods that do not run, and are supposed to."""

    @property
    def is_well(self) -> bool:
        """Nothing is wrong: no cause is looked for."""
        replies = (self.answers.wire or {}).get("http") or ()
        served = all(int(reply.get("status") or 0) < 400 for reply in replies)
        return not self.refusal and self.answers.connects and served and not self.is_elsewhere

    @property
    def is_elsewhere(self) -> bool:
        """Something else arrives than what was asked for, or what was asked for is only half there."""
        return self.sights.trouble or self.is_captured or bool(self.astray)

    @property
    def is_captured(self) -> bool:
        """The sender's own stack takes the destination for one of its own, and it is not."""
        way, address = self.sights.way, self.address
        if way is None or way.refusal or address is None or address.is_loopback:
            return False
        if not way.is_local and way.interface in (HOST_INTERFACE, ""):
            return False
        if self.asked.target.kind is PlaceKind.NODE or self.source.startswith(("node/", "router/")):
            return False
        pod = self.typed_pod(self.source)
        if pod is None:
            return str(self.asked.target) != self.source
        return not pod.host_network and address not in pod.addresses

    @property
    def astray(self) -> tuple[str, ...]:
        """Places that answer for a pod or a host outside that was asked for; empty as a rule."""
        target = self.asked.target
        if target.kind not in (PlaceKind.POD, PlaceKind.EXTERNAL):
            return ()
        own = self.typed_pod(str(target)) if target.kind is PlaceKind.POD else None
        meant = {str(target), f"node/{own.node}" if own is not None and own.host_network else ""}
        return tuple(place for place in self.arrivals() if place not in meant)

    # -- objects that the question is about ----------------------------------------------------------

    def service(self) -> JsonObject | None:
        """The Service that is asked for: by its place, its address, its port on a node, or its name."""
        target = self.asked.target
        if target.kind is PlaceKind.SERVICE:
            return self.snapshot.get("Service", target.namespace, target.name)
        if self.answers.spec is not None:
            for reason in self.answers.spec.reasons:
                if reason.object.kind == "Service":
                    return self.snapshot.get("Service", reason.object.namespace, reason.object.name)
        return self._named_service()

    def _named_service(self) -> JsonObject | None:
        if self.asked.target.kind is not PlaceKind.NAME or self.naming is None:
            return None
        for name in self.naming.candidates:
            words = name.rstrip(".").split(".")
            if len(words) > 2 and words[2] == "svc":
                found = self.snapshot.get("Service", words[1], words[0])
                if found is not None:
                    return found
        return None

    def typed(self, service: JsonObject) -> Service | None:
        """The same Service as the proxy reads it; None for one that it does not program."""
        name = (service["metadata"].get("namespace", ""), service["metadata"]["name"])
        return next((s for s in self.state.services if (s.ref.namespace, s.ref.name) == name), None)

    def pod(self, place: str) -> JsonObject | None:
        """The object of a pod by its place, whether or not it is on the network."""
        meant = parse_place(place) if place else None
        if meant is None or meant.kind is not PlaceKind.POD:
            return None
        return self.snapshot.get("Pod", meant.namespace, meant.name)

    def typed_pod(self, place: str) -> Pod | None:
        """The pod as flows are computed for it; None when it is not on the network, or no pod."""
        meant = parse_place(place) if place else None
        if meant is None or meant.kind is not PlaceKind.POD:
            return None
        wanted = (meant.namespace, meant.name)
        return next((p for p in self.state.pods if (p.ref.namespace, p.ref.name) == wanted), None)

    def arrivals(self) -> Iterator[str]:
        """The places where spec lets the packet arrive."""
        if self.answers.spec is not None:
            yield from sorted({arrival.place for arrival in self.answers.spec.endpoints})

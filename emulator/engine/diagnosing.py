"""Diagnoses, as the front is asked for them: what can be known is gathered, then judged."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from controllers import unixctl
from emulator.api.errors import ApiError, bad_request
from emulator.api.objects import JsonObject
from emulator.cluster.model import Protocol
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import Place, PlaceError, PlaceKind, Port, parse_place, parse_port
from emulator.cluster.snapshot import Snapshot
from emulator.engine import probing
from emulator.engine.drifting import Drifting
from emulator.engine.looking import Looker
from emulator.engine.naming import resolver_of
from emulator.engine.targets import UnknownPlaceError
from emulator.engine.together import Together
from emulator.engine.tracing import Tracer
from emulator.oracle.ask import UnanswerableError, ask
from emulator.oracle.packet import Question as Spoken
from emulator.probes.listeners import Listener, listeners
from emulator.probes.lookups import LookupFailedError
from emulator.probes.netns import inside
from emulator.probes.request import RequestError
from emulator.verdict.causes.mended import mended, own_address
from emulator.verdict.causes.order import FINDERS, RECOGNISED, met
from emulator.verdict.causes.remedies import with_command
from emulator.verdict.diagnose.change import change
from emulator.verdict.diagnose.diagnosis import Cause, Diagnosis, diagnose, first
from emulator.verdict.diagnose.evidence import Answers, Asked, Evidence, Naming
from emulator.verdict.trace.atlas import NoSuchSenderError
from emulator.verdict.trace.model import Trace
from emulator.verdict.trace.packet import SOURCE_PORT
from emulator.verdict.trace.walk import Question as Traced

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

_FOR_EACH = 6
"""Probes for each that may answer: of two, one is missed by all twelve once in 2,000 times."""
_MOST_PROBES = 48
_MOST_TRACES = 16
_MOST_LISTENED = 32
_MOST_CAUSES = 6
_SHORT = 0.5
"""Seconds of silence that are a drop where the objects and the tables both say that there is one."""
_PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "sctp": Protocol.SCTP, "icmp": None}

_KINDS = {
    PlaceKind.POD: "Pod",
    PlaceKind.DEPLOYMENT: "Deployment",
    PlaceKind.STATEFUL_SET: "StatefulSet",
    PlaceKind.DAEMON_SET: "DaemonSet",
}


@dataclass(slots=True)
class _Look:
    """How the network differs from what is computed."""

    items: Sequence[JsonObject] = ()
    is_answered: bool = True
    """Whether Open vSwitch could be asked."""


class Diagnoser:
    """Answers `POST /mininetes/v1/diagnose`."""

    def __init__(self, engine: Engine, tracer: Tracer, drifting: Drifting) -> None:
        self._engine = engine
        self._tracer = tracer
        self._drifting = drifting
        self._looker = Looker(engine, tracer)
        self._comparing: Together[_Look] = Together(self._compare)

    async def answer(self, body: JsonObject) -> JsonObject:
        """Gather and judge. Raises ApiError for what makes no sense, and for a source that does not exist."""
        chart = probing.Map.of(snapshot := self._engine.snapshot())
        found = diagnose(await self._gather(snapshot, chart, body), FINDERS, change)
        return replace(found, causes=await self._causes(found, chart)).as_json()

    async def _causes(self, found: Diagnosis, chart: probing.Map) -> tuple[Cause, ...]:
        """The cause that was found, and what else stands in the way: looked for as if that one were gone."""
        causes, evidence = list(found.causes), found.evidence
        latest = found.cause
        while latest is not None and len(causes) < _MOST_CAUSES:
            supposed = mended(evidence, latest)
            if supposed is None:
                break
            evidence = await self._suppose(supposed, chart)
            latest = first(evidence, RECOGNISED)
            if latest is not None and any(one.same(latest) for one in causes):
                break
            causes += [latest] if latest is not None else []
        ordered = sorted(causes, key=lambda cause: met(cause, found.evidence))
        return tuple(with_command(cause, found.evidence) for cause in ordered)

    async def _suppose(self, evidence: Evidence, chart: probing.Map) -> Evidence:
        """With what the objects say now, and what there is to see on the way that packets would take."""
        if evidence.address is None or evidence.port is None:
            return evidence
        evidence = replace(evidence, answers=Answers(spec=_spec(evidence)))
        return replace(
            evidence,
            listening={**evidence.listening, **self._listening(chart, evidence)},
            beneath=await self._beneath(evidence),
            sights=await self._looker.with_pods(evidence),
        )

    async def _beneath(self, evidence: Evidence) -> Trace | None:
        """The way between the machines of the ends."""
        assert evidence.address is not None
        family = evidence.address.version
        source = evidence.typed_pod(evidence.source)
        near = f"node/{source.node}" if source is not None else evidence.source
        for place in evidence.arrivals():
            address = own_address(place, family, evidence)
            if address is not None:
                there = replace(evidence, source=near, address=address, port=Port(0, "icmp"))
                return await self._trace(there, SOURCE_PORT)
        return None

    async def _gather(self, snapshot: Snapshot, chart: probing.Map, body: JsonObject) -> Evidence:
        """All that can be known. Raises ApiError."""
        evidence = _begun(snapshot, chart, body)
        # What differs may be put right meanwhile: this look begins before anything is sent.
        look = _Look()
        comparing = asyncio.create_task(self._comparing.do(look))
        try:
            evidence = await self._asked(evidence, chart, body)
            await comparing
        finally:
            comparing.cancel()
        sights = replace(evidence.sights, switch_answers=look.is_answered)
        return replace(evidence, drift=tuple(look.items), sights=sights)

    async def _compare(self, looks: Sequence[_Look]) -> None:
        """One look at all switches for all who ask meanwhile."""
        try:
            items = await self._drifting.forwarding()
        except ApiError:
            for look in looks:
                look.is_answered = False
        else:
            for look in looks:
                look.items = items

    async def _asked(self, evidence: Evidence, chart: probing.Map, body: JsonObject) -> Evidence:
        """With the answers to the question, and what was seen on its way. Raises ApiError."""
        snapshot = evidence.snapshot
        question: probing.Question | None = None
        try:
            question = probing.question_of(snapshot, chart, body)
            evidence = replace(evidence, source=question.source)
            request = await question.complete(question.request())
        except UnknownPlaceError as error:
            evidence = replace(evidence, refusal=str(error))
        except LookupFailedError as error:
            evidence = replace(
                evidence, refusal=str(error), naming=self._naming(evidence, error.lookups, error)
            )
        except (PlaceError, RequestError, KeyError, TypeError, ValueError) as error:
            raise bad_request(str(error)) from error
        else:
            evidence = replace(
                evidence,
                address=request.target.address(body.get("family")),
                port=Port(request.target.port or 0, request.protocol.value),
                naming=self._naming(evidence, question.lookups) if question.lookups else None,
            )
            probed = {**body, "count": self._count(len(request.target.candidates))}
            evidence = replace(evidence, answers=await self._answers(evidence, chart, probed))
            evidence = replace(evidence, listening=self._listening(chart, evidence))
        evidence = await self._with_way_to_names(evidence, chart)
        return replace(evidence, sights=await self._looker.look(evidence, chart))

    # -- the answers ---------------------------------------------------------------------------------

    async def _answers(self, evidence: Evidence, chart: probing.Map, body: JsonObject) -> Answers:
        answers = Answers(spec=_spec(evidence))
        first = await self._trace(evidence, SOURCE_PORT)
        answers = replace(answers, trace=first)
        if "timeout" not in body and answers.expected == answers.traced == {Outcome.DROPPED}:
            body = {**body, "timeout": _SHORT}
        answers = replace(answers, wire=await self._wire(evidence, chart, body))
        if first is None or len(answers.happened | answers.expected) < 2:
            return answers
        others = []
        for port in range(SOURCE_PORT + 1, SOURCE_PORT + _MOST_TRACES):
            other = await self._trace(evidence, port)
            if other is not None and other.outcome not in answers.traced:
                others.append(other)
                answers = replace(answers, others=tuple(others))
                break
        return answers

    async def _wire(self, evidence: Evidence, chart: probing.Map, body: JsonObject) -> JsonObject | None:
        try:
            return await probing.probe(evidence.snapshot, body, self._engine.workshop, chart)
        except ApiError:
            return None

    async def _trace(self, evidence: Evidence, source_port: int) -> Trace | None:
        assert evidence.address is not None
        assert evidence.port is not None
        question = Traced(
            evidence.source,
            str(evidence.asked.target),
            evidence.port.protocol,
            evidence.address,
            evidence.port.number,
            source_port=source_port,
        )
        try:
            return await asyncio.to_thread(self._tracer.trace, evidence.state, question)
        except (OSError, unixctl.ControlError, NoSuchSenderError, ValueError):
            return None

    @staticmethod
    def _count(candidates: int) -> int:
        return 1 if candidates < 2 else min(_FOR_EACH * candidates, _MOST_PROBES)

    # -- what else can be seen -----------------------------------------------------------------------

    @staticmethod
    def _listening(chart: probing.Map, evidence: Evidence) -> dict[str, tuple[Listener, ...]]:
        """What listens where the packet may arrive: which sockets are open there."""
        found: dict[str, tuple[Listener, ...]] = {}
        for place in list(evidence.arrivals())[:_MOST_LISTENED]:
            try:
                with inside(chart.sites[place].netns):
                    found[place] = listeners()
            except (KeyError, OSError):
                continue
        return found

    def _naming(self, evidence: Evidence, lookups: Any, failed: Exception | str = "") -> Naming:
        resolver = resolver_of(evidence.snapshot, evidence.source)
        return Naming(
            lookups=tuple(lookups),
            failed=str(failed),
            servers=tuple(ip_address(server) for server in resolver.nameservers),
            candidates=tuple(resolver.candidates(evidence.asked.target.name)),
        )

    async def _with_way_to_names(self, evidence: Evidence, chart: probing.Map) -> Evidence:
        """Where a name server gave no answer, the way to it is asked about like any other."""
        naming = evidence.naming
        if naming is None or naming.answered or not naming.servers:
            return evidence
        server = naming.servers[0]
        target = parse_place(str(server))
        to_server = replace(
            evidence,
            asked=Asked(evidence.asked.source, target, Port(53, "udp")),
            address=server,
            port=Port(53, "udp"),
        )
        body = {"from": evidence.source, "to": str(server), "port": "53/udp"}
        return replace(evidence, naming=replace(naming, way=await self._answers(to_server, chart, body)))


def _begun(snapshot: Snapshot, chart: probing.Map, body: JsonObject) -> Evidence:
    """What is known before anything is asked. Raises ApiError."""
    namespace = str(body.get("namespace") or "default")
    try:
        source, target = parse_place(str(body["from"]), namespace), parse_place(str(body["to"]), namespace)
        port = parse_port(str(body["port"])) if body.get("port") else target.port
    except (KeyError, PlaceError) as error:
        raise bad_request(str(error)) from error
    http = body.get("http")
    asked = Asked(source, target, port, http if isinstance(http, str) else "")
    _expect(snapshot, chart, source)
    _expect_port(snapshot, target, port)
    return Evidence(asked, snapshot, chart.directory.state, port=port)


def _expect(snapshot: Snapshot, chart: probing.Map, source: Place) -> None:
    """Raise ApiError when there is no such source: nobody can say why that reaches nothing."""
    kind = _KINDS.get(source.kind)
    if kind is not None and snapshot.get(kind, source.namespace, source.name) is not None:
        return
    try:
        chart.directory.site_of(source)
    except UnknownPlaceError as error:
        raise ApiError(404, "NotFound", str(error)) from error


def _expect_port(snapshot: Snapshot, target: Place, port: Port | None) -> None:
    """Raise ApiError where it is left open which of a Service's ports is meant."""
    if target.kind is not PlaceKind.SERVICE or port is not None:
        return
    service = snapshot.get("Service", target.namespace, target.name)
    ports = (service or {}).get("spec", {}).get("ports") or ()
    if len(ports) > 1:
        choice = ", ".join(f"{one['port']}/{(one.get('protocol') or 'TCP').lower()}" for one in ports)
        raise bad_request(f"{target} has {len(ports)} ports; say which ({choice})")


def _spec(evidence: Evidence) -> Any:
    assert evidence.address is not None
    assert evidence.port is not None
    spoken = _PROTOCOLS[evidence.port.protocol]
    number = evidence.port.number if spoken else None
    try:
        source = parse_place(evidence.source)
        return ask(evidence.state, Spoken(source, evidence.address, spoken, number))
    except UnanswerableError:
        return None

"""The reachability matrix, as the front receives it: places become ends of a sweep."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import product

from controllers import unixctl
from emulator.api.errors import ApiError, bad_request
from emulator.api.objects import JsonObject
from emulator.cluster.model import ClusterState, Pod
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import Place, PlaceError, PlaceKind, parse_port
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.state import state_of
from emulator.cluster.wiring import IPInterface, NodePlan, Wiring
from emulator.engine.specifying import outcome_of
from emulator.engine.tracing import Tracer
from emulator.network.cables import HOST_INTERFACE
from emulator.network.names import netns_path
from emulator.probes.request import DEFAULT_TIMEOUT
from emulator.probes.sweeper import sweep
from emulator.probes.swept import Ask, End, Relay, Transport, Verdict
from emulator.verdict.trace.walk import Question

_ANSWERS = frozenset({"wire", "spec", "trace"})
_MOST = 200_000
"""Probes of one matrix."""


async def matrix(snapshot: Snapshot, body: JsonObject, tracer: Tracer, *, in_turn: bool) -> JsonObject:
    """Answer `POST /mininetes/v1/matrix`. Raises ApiError for what makes no sense.

    `answers` names those that are wanted: `wire` sends packets, `trace` asks the flow tables, `spec` the
    objects. `in_turn`: one thread switches all packets, on which early verdicts rest.
    """
    state = state_of(snapshot)
    try:
        ports = _ports(body.get("ports"))
        timeout = float(body.get("timeout") or DEFAULT_TIMEOUT)
        family = int(body.get("family") or _primary(state))
        answers = _answers(body.get("answers"))
    except (PlaceError, TypeError, ValueError) as error:
        raise bad_request(str(error)) from error
    if family not in (4, 6) or timeout <= 0:
        raise bad_request("family is 4 or 6, and timeout more than 0 seconds")
    _check_namespaces(snapshot, body.get("namespaces"))
    ends = tuple(_ends(state, body))
    if not in_turn:
        ends = tuple(replace(end, relay=None) for end in ends)
    if not ends:
        where = ", ".join(body.get("namespaces") or ()) or "the cluster"
        raise ApiError(404, "NotFound", f"no running pod in {where}; `mininetes get pods -A` lists them all")
    asks = [
        Ask(source.place, target.place, transport, number, family)
        for (number, transport), source, target in product(ports, ends, ends)
    ]
    if len(asks) > _MOST:
        raise bad_request(
            f"{len(asks)} probes are too many for one matrix (at most {_MOST}): take fewer ports"
        )
    started = time.monotonic()
    try:
        verdicts = await sweep(ends, asks, timeout) if "wire" in answers else []
        traced = await asyncio.to_thread(_traced, tracer, state, ends, asks) if "trace" in answers else []
    except (OSError, unixctl.ControlError) as error:
        raise ApiError(409, "Conflict", f"a place went away meanwhile: {error}; ask again") from error
    spec = [outcome_of(state, one) for one in asks] if "spec" in answers else []
    report = _report(asks, verdicts, {"spec": spec, "trace": traced})
    return report | {"seconds": round(time.monotonic() - started, 3)}


def _report(
    asks: Sequence[Ask], verdicts: Sequence[Verdict], others: Mapping[str, Sequence[str | None]]
) -> JsonObject:
    ports: dict[str, JsonObject] = {}
    wire = [verdict.outcome.value for verdict in verdicts]
    notes = [verdict.note for verdict in verdicts]
    for ask in asks:
        ports.setdefault(f"{ask.port}/{ask.transport}", {"wire": {}, "spec": {}, "notes": {}})
    for answer, said in {"wire": wire, **others, "notes": notes}.items():
        for ask, word in zip(asks, said, strict=False):
            if word or answer != "notes":
                one = ports[f"{ask.port}/{ask.transport}"].setdefault(answer, {})
                one.setdefault(ask.source, {})[ask.target] = word
    return {
        "apiVersion": "mininetes.io/v1",
        "kind": "Matrix",
        "family": asks[0].version,
        "ports": ports,
        "probes": len(asks),
        "drops": sum(verdict.outcome is Outcome.DROPPED for verdict in verdicts),
        "earlyDrops": sum(verdict.early for verdict in verdicts),
    }


def _traced(
    tracer: Tracer, state: ClusterState, ends: Sequence[End], asks: Sequence[Ask]
) -> list[str | None]:
    """What the flow tables say; None for what they cannot be asked."""
    places = {end.place: end for end in ends}
    found: list[str | None] = [None] * len(asks)
    questions: dict[int, Question] = {}
    for number, asked in enumerate(asks):
        address = places[asked.target].address(asked.version)
        if address is not None and places[asked.source].address(asked.version) is not None:
            transport = asked.transport.value
            questions[number] = Question(asked.source, asked.target, transport, address, asked.port)
    outcomes = tracer.outcomes(state, list(questions.values()))
    for number, outcome in zip(questions, outcomes, strict=True):
        found[number] = outcome.value
    return found


def _answers(asked: object) -> frozenset[str]:
    """Which ones are wanted. Raises ValueError."""
    if asked is None:
        return frozenset({"wire", "spec"})
    if not isinstance(asked, list) or not asked or not _ANSWERS.issuperset(map(str, asked)):
        raise ValueError(f"answers: a list of {', '.join(sorted(_ANSWERS))}, not {asked!r}")
    return frozenset(map(str, asked))


def _ports(asked: object) -> list[tuple[int, Transport]]:
    """Distinct ports in the order given. Raises PlaceError and ValueError."""
    if not isinstance(asked, list) or not asked:
        raise ValueError("ports: a list such as [80/tcp] is missing")
    found: dict[tuple[int, Transport], None] = {}
    for text in asked:
        port = parse_port(str(text))
        if not port.number or port.protocol not in set(Transport):
            raise ValueError(f"{text}: a matrix is about TCP, UDP and SCTP ports, as 80/tcp")
        found[port.number, Transport(port.protocol)] = None
    return list(found)


def _check_namespaces(snapshot: Snapshot, asked: Sequence[str] | None) -> None:
    """Raises ApiError for a namespace that does not exist: the matrix would be silent about it."""
    known = sorted(obj["metadata"]["name"] for obj in snapshot.all("Namespace"))
    for name in asked or ():
        if name not in known:
            raise ApiError(404, "NotFound", f"no namespace {name!r}; there are {', '.join(known)}")


def _primary(state: ClusterState) -> int:
    return next((node.pod_gateways[0].version for node in state.wiring.nodes if node.pod_gateways), 4)


def _ends(state: ClusterState, body: JsonObject) -> Iterator[End]:
    namespaces = body.get("namespaces")
    nodes = {node.name: node for node in state.wiring.nodes}
    for pod in sorted(state.pods, key=lambda one: (one.ref.namespace, one.ref.name)):
        if not pod.terminating and (namespaces is None or pod.ref.namespace in namespaces):
            yield _pod(pod, nodes[pod.node])
    if body.get("nodes"):
        yield from (_bare(f"node/{node.name}", node.addresses) for node in nodes.values())
    if body.get("external"):
        yield from _outside(state.wiring)


def _outside(wiring: Wiring) -> Iterator[End]:
    for host in wiring.external:
        yield _bare(f"ext/{host.name}", host.addresses)


def _bare(place: str, interfaces: Iterable[IPInterface]) -> End:
    addresses = tuple(interface.ip for interface in interfaces)
    return End(place, netns_path(place), addresses)


def _pod(pod: Pod, node: NodePlan) -> End:
    place = str(Place(PlaceKind.POD, pod.ref.name, pod.ref.namespace))
    if pod.host_network or pod.port is None:
        return End(place, netns_path(f"node/{node.name}"), pod.addresses)
    gateway = next((one for one in pod.port.gateways if isinstance(one, IPv4Address)), None)
    relay = Relay(node.name, netns_path(f"node/{node.name}"), node.pod_gateways)
    return End(place, netns_path(place), pod.addresses, HOST_INTERFACE, gateway, relay)

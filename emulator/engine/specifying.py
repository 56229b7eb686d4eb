"""What Kubernetes says should become of a probe: `spec` of its report."""

from __future__ import annotations

from ipaddress import ip_address

from emulator.api.objects import JsonObject
from emulator.cluster.model import ClusterState, Protocol
from emulator.cluster.places import parse_place
from emulator.oracle.ask import UnanswerableError, ask
from emulator.oracle.packet import Question
from emulator.probes.observation import Observation
from emulator.probes.swept import Ask

_DECIDED_OTHERWISE = ("packet", "ttl", "dontFragment", "sourceAddress")
"""Fields of a request that make it a question about something else: headers that lie, or lengths."""
_LARGEST = 1200
"""Bytes of payload that fit a packet everywhere: fragments have no ports, and are another question."""
_PROTOCOLS = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "icmp": None}


_SWEPT = {"tcp": Protocol.TCP, "udp": Protocol.UDP, "sctp": Protocol.SCTP}


def outcome_of(state: ClusterState, asked: Ask) -> str | None:
    """The outcome that one probe of a sweep should have; None where the oracle cannot tell."""
    protocol = _SWEPT[asked.transport.value]
    source, target = parse_place(asked.source), parse_place(asked.target)
    try:
        return ask(state, Question(source, target, protocol, asked.port, asked.version)).outcome.value
    except UnanswerableError:
        return None


def spec_of(
    state: ClusterState, source: str, observation: Observation, body: JsonObject
) -> JsonObject | None:
    """The oracle's answer for a probe that was sent; None where the question is none for it."""
    protocol = observation.protocol.value
    if not observation.address or protocol not in _PROTOCOLS or any(map(body.get, _DECIDED_OTHERWISE)):
        return None
    if protocol != "tcp" and int(body.get("size") or 0) > _LARGEST:
        return None
    spoken = _PROTOCOLS[protocol]
    port = observation.port if spoken else None
    try:
        question = Question(parse_place(source), ip_address(observation.address), spoken, port)
        return ask(state, question).as_json()
    except UnanswerableError:
        return None

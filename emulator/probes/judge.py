"""From what the sockets said and what the captures show to outcomes.

An error is not a deny: silence counts as dropped only when the packet was seen to leave.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass

from emulator.cluster.outcome import Outcome
from emulator.probes.clients import Attempt, Ending
from emulator.probes.evidence import Evidence, Key, aligned
from emulator.probes.headers import Datagram
from emulator.probes.observation import (
    UNKNOWN_ENDPOINT,
    HttpReply,
    Observation,
    Rejection,
    Seen,
    grouped,
    rejections_grouped,
    tally,
)
from emulator.probes.request import ProbeRequest, Protocol


@dataclass(frozen=True)
class Judgement:
    """All there is to judge by."""

    request: ProbeRequest
    address: str
    attempts: Sequence[Attempt]
    evidence: Evidence
    blind: Set[str]
    """Candidates that could not be watched."""
    lost: Mapping[str, int]
    """Packets that captures lost, by place."""
    sockets: Set[tuple[str, str, int]]
    """(place, address, port) where an arriving datagram found a UDP socket."""

    def keys(self) -> list[Key]:
        """The key of each attempt; None where it was not seen to leave."""
        if self.request.protocol is not Protocol.TCP:
            return [
                attempt.index if attempt.index in self.evidence.sent else f"id {attempt.source_port}"
                for attempt in self.attempts
            ]
        by_port = {
            packet.source_port: key
            for key, packet in self.evidence.sent.items()
            if (packet.destination, packet.destination_port) == (self.address, self.request.target.port)
        }
        return [by_port.get(attempt.source_port) for attempt in self.attempts]


def judge(case: Judgement) -> Observation:
    """The observation that the evidence supports."""
    request, evidence, keys = case.request, case.evidence, case.keys()
    arrivals = {place: _known(found, keys) for place, found in evidence.arrivals.items()}
    arrivals = {place: found for place, found in arrivals.items() if place in request.target.candidates}
    endpoints: Counter[str] = Counter()
    outcomes: list[Outcome] = []
    errors: Counter[str] = Counter()
    rejections: list[Rejection] = []
    for attempt, key in zip(case.attempts, keys, strict=True):
        outcome, message = _outcome(case, attempt, key, arrivals)
        outcomes.append(outcome)
        if message:
            errors[message] += 1
        if outcome is Outcome.CONNECTED:
            endpoints[_endpoint(case, key, arrivals)] += 1
        elif outcome is Outcome.REJECTED:
            unseen = Rejection("unseen", name=attempt.message)
            rejections.append(evidence.refusals.get(key, unseen))
    replies = [attempt.reply for attempt in case.attempts if attempt.reply is not None]
    return Observation(
        request.source,
        request.target.name,
        request.target.port,
        request.protocol,
        tally(outcomes),
        dict(endpoints.most_common()),
        _in_order(request.target.candidates, arrivals),
        _answers(case, keys),
        rejections_grouped(rejections),
        dict(errors),
        _notes(case, keys, endpoints, arrivals),
        _responses(case.attempts),
        _served_by(case.attempts),
        sum(attempt.exchanges for attempt in case.attempts) if request.exchanges > 1 else 0,
        len(replies),
        replies[0].decode("utf-8", "backslashreplace") if replies else "",
        case.address,
        tuple(round(a.milliseconds, 3) for a in case.attempts if a.milliseconds is not None),
    )


def _outcome(
    case: Judgement, attempt: Attempt, key: Key, arrivals: Mapping[str, Mapping[Key, Datagram]]
) -> tuple[Outcome, str]:
    if attempt.ending is Ending.ANSWERED:
        return Outcome.CONNECTED, ""
    if attempt.ending is Ending.REFUSED:
        return Outcome.REJECTED, ""
    if attempt.ending is Ending.FAILED:
        return Outcome.ERROR, attempt.message
    if attempt.ending is Ending.UNREACHABLE:
        if key in case.evidence.refusals:
            return Outcome.REJECTED, ""
        return Outcome.ERROR, _unsent(case) or f"{attempt.message}, said {case.request.source} itself"
    if key not in case.evidence.sent:
        return Outcome.ERROR, _unsent(case) or f"nothing left {case.request.source}"
    if case.request.protocol is Protocol.UDP and _reached_a_socket(case, key, arrivals):
        return Outcome.CONNECTED, ""
    return Outcome.DROPPED, ""


def _unsent(case: Judgement) -> str:
    separator = ":" if ":" in case.address else "."
    asked = ", ".join(sorted(name for name in case.evidence.unresolved if separator in name))
    return (
        f"nobody answered {case.request.source} asking for the link-layer address of {asked}" if asked else ""
    )


def _reached_a_socket(case: Judgement, key: Key, arrivals: Mapping[str, Mapping[Key, Datagram]]) -> bool:
    return any(
        (place, found[key].destination, found[key].destination_port) in case.sockets
        for place, found in arrivals.items()
        if key in found
    )


def _endpoint(case: Judgement, key: Key, arrivals: Mapping[str, Mapping[Key, Datagram]]) -> str:
    """The candidate that the attempt reached, and that answered it where an answer is recognisable."""
    places = [place for place in case.request.target.candidates if key in arrivals.get(place, ())]
    if case.request.protocol is Protocol.UDP:
        with_socket = [place for place in places if _reached_a_socket(case, key, {place: arrivals[place]})]
        places = with_socket or places
    else:
        places = [place for place in places if key in case.evidence.answered[place]]
    return places[0] if places else UNKNOWN_ENDPOINT


def _known(found: Mapping[Key, Datagram], keys: Iterable[Key]) -> dict[Key, Datagram]:
    """Arrivals that belong to this probe's attempts, under the attempts' keys."""
    own = [key for key in keys if key is not None]
    by_port = {key: packet for key, packet in found.items() if isinstance(key, str)}
    names = aligned(by_port, [key for key in own if isinstance(key, str)]) | {key: key for key in own}
    return {names[key]: packet for key, packet in found.items() if key in names}


def _seen(place: str, packet: Datagram) -> Seen:
    return Seen(
        place, packet.source, packet.destination, packet.ttl, packet.source_port, packet.destination_port
    )


def _in_order(places: Sequence[str], arrivals: Mapping[str, Mapping[Key, Datagram]]) -> tuple[Seen, ...]:
    found = [_seen(place, packet) for place in places for packet in arrivals.get(place, {}).values()]
    return grouped(found, "source_port")


def _answers(case: Judgement, keys: Sequence[Key]) -> tuple[Seen, ...]:
    answers = case.evidence.answers
    found = [_seen(case.request.source, answers[key]) for key in keys if key in answers]
    return grouped(found, "destination_port")


def _responses(attempts: Sequence[Attempt]) -> tuple[tuple[HttpReply, int], ...]:
    """Responses by status and body, most frequent first."""
    counts: Counter[tuple[int, str]] = Counter()
    first: dict[tuple[int, str], HttpReply] = {}
    for attempt in attempts:
        if attempt.http is not None:
            kind = (attempt.http.status, attempt.http.body)
            counts[kind] += 1
            first.setdefault(kind, attempt.http)
    return tuple((first[kind], count) for kind, count in counts.most_common())


def _served_by(attempts: Sequence[Attempt]) -> dict[str, int]:
    """The pods behind an ingress proxy, most frequent first."""
    pods = Counter(a.http.served_by for a in attempts if a.http is not None and a.http.served_by)
    return dict(pods.most_common())


def _notes(
    case: Judgement,
    keys: Sequence[Key],
    endpoints: Mapping[str, int],
    arrivals: Mapping[str, Mapping[Key, Datagram]],
) -> tuple[str, ...]:
    notes = [f"{place} could not be watched" for place in sorted(case.blind)]
    notes += [f"the capture at {place} lost {count} packets" for place, count in sorted(case.lost.items())]
    unseen = sum(1 for key in keys if key is None or key not in case.evidence.sent)
    answered = sum(1 for attempt in case.attempts if attempt.ending is Ending.ANSWERED)
    if unseen and answered == len(keys):
        notes.append(f"{unseen} were answered though the capture at the source did not see them leave")
    if case.request.target.candidates and endpoints.get(UNKNOWN_ENDPOINT):
        notes.append(f"{endpoints[UNKNOWN_ENDPOINT]} were answered by none of the places that may answer")
    pairs = zip(case.attempts, keys, strict=True)
    unanswered = sum(1 for attempt, key in pairs if _ended_there(case, attempt, key, arrivals))
    if unanswered:
        notes.append(f"{unanswered} arrived and were not answered there: a full listen queue, or a filter")
    broken = Counter(a.message for a in case.attempts if a.ending in (Ending.SILENT, Ending.REFUSED))
    notes += [f"{message} ({count})" for message, count in broken.items() if message.startswith("HTTP")]
    return tuple(notes)


def _ended_there(
    case: Judgement, attempt: Attempt, key: Key, arrivals: Mapping[str, Mapping[Key, Datagram]]
) -> bool:
    """Whether the attempt reached an endpoint that gave no recognisable answer, though it would have to."""
    return (
        attempt.ending is Ending.SILENT
        and case.request.protocol is not Protocol.UDP
        and any(key in found for found in arrivals.values())
        and not any(key in answered for answered in case.evidence.answered.values())
    )

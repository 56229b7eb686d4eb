"""DNS messages: bytes to questions, and answers to bytes (RFC 1035, EDNS of RFC 6891)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from emulator.cluster.dns.model import Answer, Question, Rcode, Record

SMALLEST_LIMIT = 512
"""Bytes that an answer over UDP may have for a client without EDNS."""
PAYLOAD = 1232
"""The largest datagram that we ask for: it fits every path unfragmented."""
LARGEST = 65535


@dataclass(frozen=True, slots=True)
class Query:
    """A question as it came."""

    message: dns.message.Message
    question: Question | None
    """None when the message is no single question of the internet's class."""
    refusal: Rcode = Rcode.NOERROR
    """What to say to a message without a question."""

    @property
    def limit(self) -> int:
        """Bytes that an answer over UDP may have."""
        return max(SMALLEST_LIMIT, self.message.payload) if self.message.edns >= 0 else SMALLEST_LIMIT


def read(data: bytes) -> Query | None:
    """The query in `data`; None for what deserves no answer: noise, and answers."""
    try:
        message = dns.message.from_wire(data, ignore_trailing=True)
    except (dns.exception.DNSException, ValueError):
        return None
    if message.flags & dns.flags.QR:
        return None
    if message.opcode() != dns.opcode.QUERY:
        return Query(message, None, Rcode.NOTIMP)
    if len(message.question) != 1:
        return Query(message, None, Rcode.FORMERR)
    asked = message.question[0]
    if asked.rdclass != dns.rdataclass.IN:
        return Query(message, None, Rcode.REFUSED)
    return Query(message, Question(asked.name.to_text(), dns.rdatatype.to_text(asked.rdtype)))


def reply(query: Query, answer: Answer, limit: int, *, is_recursive: bool = False) -> bytes:
    """The answer to `query` in at most `limit` bytes; what does not fit is cut off and marked as such.

    `is_recursive` tells that it was got elsewhere.
    """
    message = dns.message.make_response(query.message, recursion_available=is_recursive, our_payload=PAYLOAD)
    message.set_rcode(dns.rcode.from_text(answer.rcode))
    if not is_recursive and answer.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN):
        message.flags |= dns.flags.AA
    message.answer.extend(_sets(answer.records))
    message.authority.extend(_sets(answer.authority))
    message.additional.extend(_sets(answer.additional))
    return message.to_wire(max_size=limit, prefer_truncation=True, want_shuffle=False)


def ask(question: Question, number: int) -> bytes:
    """A query that asks for recursion, under an id."""
    message = dns.message.make_query(question.name, question.type, use_edns=0, payload=PAYLOAD, id=number)
    return message.to_wire()


def read_answer(data: bytes, question: Question, number: int) -> tuple[Answer, bool] | None:
    """The answer to that query, and whether it was cut off; None for anything else."""
    try:
        message = dns.message.from_wire(data, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError):
        return None
    if message.id != number or not message.flags & dns.flags.QR or len(message.question) != 1:
        return None
    asked = message.question[0]
    if (
        asked.name != dns.name.from_text(question.name)
        or dns.rdatatype.to_text(asked.rdtype) != question.type
    ):
        return None
    code = dns.rcode.to_text(message.rcode())
    answer = Answer(
        Rcode(code) if code in Rcode.__members__ else Rcode.SERVFAIL,
        tuple(_records(message.answer)),
        tuple(_records(message.authority)),
        tuple(_records(message.additional)),
    )
    return answer, bool(message.flags & dns.flags.TC)


def _sets(records: Iterable[Record]) -> list[dns.rrset.RRset]:
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.name, record.type), []).append(record)
    return [
        dns.rrset.from_text_list(name, group[0].ttl, "IN", kind, [record.data for record in group])
        for (name, kind), group in groups.items()
    ]


def _records(sets: Iterable[dns.rrset.RRset]) -> Iterable[Record]:
    for group in sets:
        kind = dns.rdatatype.to_text(group.rdtype)
        for data in group:
            yield Record(group.name.to_text(), kind, data.to_text(), group.ttl)

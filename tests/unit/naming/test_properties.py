"""Whatever is asked, and whatever comes by the wire: an answer that makes sense, and never an exception."""

from __future__ import annotations

from contextlib import suppress

import dns.message
from hypothesis import example, given
from hypothesis import strategies as st

from emulator.cluster.dns import wire
from emulator.cluster.dns.model import Question, Rcode
from emulator.cluster.dns.records import answer
from emulator.workloads.servers.dns.corefile import CorefileError, parse_corefile
from tests.unit.naming.cluster import KUBEADM
from tests.unit.naming.test_records import VIEW

LABELS = st.sampled_from(
    [
        "svc",
        "pod",
        "shop",
        "web",
        "db",
        "db-0",
        "out",
        "loop",
        "_http",
        "_tcp",
        "10-1-2-3",
        "x",
        "",
        "*",
        "\\000",
    ]
)
TYPES = st.sampled_from(
    ["A", "AAAA", "SRV", "PTR", "CNAME", "TXT", "NS", "SOA", "MX", "ANY", "AXFR", "TYPE65"]
)
ZONES = st.sampled_from(["cluster.local.", "Cluster.LOCAL.", "in-addr.arpa.", "ip6.arpa."])


@given(st.lists(LABELS, max_size=7), ZONES, TYPES)
@example([], "Cluster.LOCAL.", "SOA")
def test_every_question_has_an_answer_of_one_kind(labels: list[str], zone: str, kind: str) -> None:
    name = ".".join([*(label for label in labels if label), zone])
    found = answer(VIEW, KUBEADM, Question(name, kind))
    assert found.rcode in (Rcode.NOERROR, Rcode.NXDOMAIN, Rcode.REFUSED)
    assert not (found.records and found.authority)
    if found.rcode is not Rcode.REFUSED and not found.records:
        assert [record.type for record in found.authority] == ["SOA"]
    assert all(record.name == name for record in found.records[:1])


@given(st.lists(LABELS, max_size=7), TYPES, st.integers(12, 600))
def test_every_answer_fits_where_it_has_to(labels: list[str], kind: str, limit: int) -> None:
    name = ".".join([*(label for label in labels if label), "cluster.local."])
    query = wire.read(dns.message.make_query(name, kind).to_wire())
    assert query is not None
    assert query.question is not None
    data = wire.reply(query, answer(VIEW, KUBEADM, query.question), max(limit, wire.SMALLEST_LIMIT))
    assert len(data) <= max(limit, wire.SMALLEST_LIMIT)
    assert (
        dns.message.from_wire(data, raise_on_truncation=False).question[0].name.to_text()
        == query.question.name
    )


@given(st.binary(max_size=80))
def test_noise_is_no_query_or_one_that_can_be_refused(data: bytes) -> None:
    query = wire.read(data)
    assert query is None or query.question is not None or query.refusal is not Rcode.NOERROR


@given(st.text(alphabet=" \n{}#\"'ab.:5", max_size=60))
def test_a_corefile_is_read_or_refused(text: str) -> None:
    with suppress(CorefileError):
        assert parse_corefile(text).blocks

"""Names looked up as the C library does it: which questions, in which order, and what ends the search."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from pathlib import Path

import pytest

from emulator.cluster.dns.model import Answer, Question, Rcode, Record
from emulator.probes import lookups
from emulator.probes.lookups import Found, LookupFailedError, look_up
from emulator.probes.request import Family
from emulator.probes.resolver import Resolver, read_resolver

POD = (
    "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver 10.96.0.10\noptions ndots:5\n"
)


def test_settings_are_read() -> None:
    found = read_resolver(
        "# comment\nsearch a b\nnameserver 10.0.0.1\nnameserver fd00::1\n"
        "nameserver 10.0.0.2\nnameserver 10.0.0.3\n"
        "options ndots:99 timeout:1 attempts:0 use-vc edns0\nsortlist x\n",
        "127.0.0.1 localhost\nnonsense here\n10.244.1.2\tweb.sites.shop web # own\n",
    )
    assert found.nameservers == ("10.0.0.1", "fd00::1", "10.0.0.2"), "three are taken"
    assert (found.searches, found.ndots, found.seconds, found.attempts) == (("a", "b"), 15, 1.0, 1)
    assert found.over_tcp
    assert found.known("WEB.") == (ip_address("10.244.1.2"),)
    assert read_resolver("").attempts == 2


@pytest.mark.parametrize(
    ("name", "tried"),
    [
        ("db", ["db.shop.svc.cluster.local.", "db.svc.cluster.local.", "db.cluster.local.", "db."]),
        ("a.b.c.d.e.f", ["a.b.c.d.e.f.", "a.b.c.d.e.f.shop.svc.cluster.local."]),
        ("db.", ["db."]),
    ],
)
def test_the_search_list(name: str, tried: list[str]) -> None:
    assert list(read_resolver(POD).candidates(name))[: len(tried)] == tried


class Servers:
    """Answers by name and type; what is not known does not exist, what is None is silence."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **answers: Answer | None) -> None:
        self.answers = {name.replace("_", "."): answer for name, answer in answers.items()}
        self.asked: list[tuple[str, str, str]] = []
        monkeypatch.setattr(lookups, "_over_udp", self._udp)
        monkeypatch.setattr(lookups, "_over_tcp", self._tcp)
        monkeypatch.setattr(lookups, "_reaches", lambda _address: True)

    async def _udp(self, _netns: Path | None, server: str, question: Question) -> tuple[Answer, bool]:
        self.asked.append((server, question.name, question.type))
        answer = self.answers.get(f"{question.name}{question.type}", Answer(Rcode.NXDOMAIN))
        if answer is None:
            await asyncio.get_running_loop().create_future()
        assert answer is not None
        return answer, bool(answer.chase)

    async def _tcp(self, _netns: Path | None, server: str, question: Question) -> Answer:
        self.asked.append((server, question.name, f"{question.type} over TCP"))
        return a("10.96.0.7")


def a(*addresses: str, chase: str = "") -> Answer:
    return Answer(records=tuple(Record("x.", "A", address, 30) for address in addresses), chase=chase)


def find(resolver: Resolver, name: str, family: Family | None = 4) -> Found:
    return asyncio.run(look_up(None, resolver, name, family, 0.05))


def test_the_first_name_with_an_address_ends_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch, db_blog_svc_cluster_local_A=a("10.96.0.5"))
    found = find(read_resolver(POD), "db.blog")
    assert found.addresses == (ip_address("10.96.0.5"),)
    assert [name for _, name, _ in servers.asked] == [
        "db.blog.shop.svc.cluster.local.",
        "db.blog.svc.cluster.local.",
    ]
    assert [lookup.outcome for lookup in found.lookups] == ["NXDOMAIN", "NOERROR"]


def test_both_families_are_asked_for_and_ipv4_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    six = Answer(records=(Record("x.", "AAAA", "fd00::5", 30),))
    servers = Servers(monkeypatch, db_AAAA=six, db_A=a("10.96.0.5"))
    assert find(read_resolver("nameserver 10.0.0.1\n"), "db.", None).addresses == (
        ip_address("10.96.0.5"),
        ip_address("fd00::5"),
    )
    assert {kind for *_, kind in servers.asked} == {"A", "AAAA"}


def test_what_cannot_be_reached_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    Servers(monkeypatch, db_AAAA=Answer(records=(Record("x.", "AAAA", "fd00::5", 30),)), db_A=a("10.96.0.5"))
    monkeypatch.setattr(lookups, "_reaches", lambda address: ":" in address)
    found = find(read_resolver("nameserver 10.0.0.1\n"), "db.", None)
    assert [str(address) for address in found.addresses] == ["fd00::5", "10.96.0.5"]


def test_a_name_without_an_address_lets_the_search_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    Servers(monkeypatch, db_shop_svc_cluster_local_A=Answer(), db_svc_cluster_local_A=a("10.96.0.5"))
    assert len(find(read_resolver(POD), "db").lookups) == 2


def test_a_server_that_is_silent_is_asked_again_and_the_next_one_too(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch, db_A=None)
    with pytest.raises(LookupFailedError, match=r"db\.: name server 10\.0\.0\.2: timeout") as failed:
        find(read_resolver("nameserver 10.0.0.1\nnameserver 10.0.0.2\nsearch x\n"), "db.")
    assert [server for server, *_ in servers.asked] == ["10.0.0.1", "10.0.0.2"] * 2
    assert {lookup.outcome for lookup in failed.value.lookups} == {"timeout"}


def test_silence_ends_the_search_and_a_failing_server_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch, db_shop_svc_cluster_local_A=None)
    with pytest.raises(LookupFailedError):
        find(read_resolver(POD), "db")
    assert len({name for _, name, _ in servers.asked}) == 1
    Servers(
        monkeypatch, db_shop_svc_cluster_local_A=Answer(Rcode.SERVFAIL), db_svc_cluster_local_A=a("10.96.0.5")
    )
    assert find(read_resolver(POD), "db").addresses


def test_an_answer_that_was_cut_is_asked_for_over_tcp(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch, db_A=a(chase="cut"))
    found = find(read_resolver("nameserver 10.0.0.1\n"), "db.")
    assert (found.addresses, found.lookups[0].transport) == ((ip_address("10.96.0.7"),), "tcp")
    assert [kind for *_, kind in servers.asked] == ["A", "A over TCP"]


def test_the_hosts_file_needs_no_question(monkeypatch: pytest.MonkeyPatch) -> None:
    servers = Servers(monkeypatch)
    found = find(read_resolver(POD, "10.244.1.2 web\nfd00::2 web\n"), "web", None)
    assert [str(address) for address in found.addresses] == ["10.244.1.2", "fd00::2"]
    assert (found.lookups[0].server, servers.asked) == ("/etc/hosts", [])


@pytest.mark.parametrize(
    ("resolver", "message"),
    [("search x\n", "no name server"), ("nameserver 10.0.0.1\n", "there is no such name")],
)
def test_why_there_is_no_address(monkeypatch: pytest.MonkeyPatch, resolver: str, message: str) -> None:
    Servers(monkeypatch)
    with pytest.raises(LookupFailedError, match=message):
        find(read_resolver(resolver), "db")

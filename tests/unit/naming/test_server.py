"""CoreDNS as a program: its Corefile, its messages, what it says before it knows anything."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import pytest

from emulator.api.objects import JsonObject
from emulator.cluster.dns import wire
from emulator.cluster.dns.addon import COREFILE
from emulator.cluster.dns.internet import InternetNames
from emulator.cluster.dns.model import Answer, PodMode, Question, Record
from emulator.workloads.servers.dns import forward
from emulator.workloads.servers.dns.corefile import CorefileError, parse_corefile
from emulator.workloads.servers.names import coredns, internet_resolver
from emulator.workloads.servers.program import (
    ClusterAccess,
    Context,
    DatagramListener,
    Peer,
    Program,
    ProgramError,
    StreamListener,
)
from tests.unit.naming.cluster import endpoint, service, slice_of
from tests.unit.workloads.manifests import Objects
from tests.unit.workloads.test_servers import context

CLIENT = Peer("10.244.1.9", 40000)
SHOP: JsonObject = {"kind": "Namespace", "metadata": {"name": "shop"}}


class Lab:
    """A CoreDNS that is asked without a network."""

    def __init__(self, *objects: JsonObject, corefile: str = COREFILE) -> None:
        self.objects = Objects(SHOP, *objects)
        self.files = {"/etc/coredns/Corefile": corefile, "/etc/resolv.conf": ""}
        self.version = 1
        self.synced = True
        self.log: list[str] = []

    def context(self) -> Context:
        access = ClusterAccess(self.objects, lambda: self.version, lambda: self.synced)
        return context(
            "-conf",
            "/etc/coredns/Corefile",
            read=self.read,
            log=self.log.append,
            cluster=access,
            netns=Path("/"),
        )

    def read(self, path: str) -> bytes:
        return self.files[path].encode()

    def program(self) -> Program:
        return coredns(self.context())


def datagram(program: Program, message: dns.message.Message) -> dns.message.Message:
    """The answer to a message over UDP."""
    listener = next(one for one in program.listeners if isinstance(one, DatagramListener))

    async def asked() -> bytes | None:
        answer = listener.handler(message.to_wire(), CLIENT)
        return await answer if isinstance(answer, Awaitable) else answer

    data = asyncio.run(asked())
    assert data is not None
    return dns.message.from_wire(data, raise_on_truncation=False)


def ask(program: Program, name: str, kind: str = "A", **options: Any) -> dns.message.Message:
    return datagram(program, dns.message.make_query(name, kind, **options))


def rcode(message: dns.message.Message) -> str:
    return dns.rcode.to_text(message.rcode())


def test_it_answers_with_authority_and_in_the_case_of_the_question() -> None:
    found = ask(Lab(service("web", "10.96.0.20")).program(), "Web.Shop.svc.cluster.local")
    assert rcode(found) == "NOERROR"
    assert found.flags & dns.flags.AA
    assert str(found.answer[0]) == "Web.Shop.svc.cluster.local. 30 IN A 10.96.0.20"


def test_it_fails_until_it_has_synced() -> None:
    lab = Lab(service("web", "10.96.0.20"))
    program = lab.program()
    lab.synced = False
    assert rcode(ask(program, "web.shop.svc.cluster.local")) == "SERVFAIL"
    lab.synced = True
    assert rcode(ask(program, "web.shop.svc.cluster.local")) == "NOERROR"


def test_a_change_of_the_objects_shows_at_once() -> None:
    lab = Lab(service("db"), slice_of("db", endpoint("10.244.1.5")))
    program = lab.program()
    assert len(ask(program, "db.shop.svc.cluster.local").answer[0]) == 1
    lab.objects.put(slice_of("db", endpoint("10.244.1.5"), endpoint("10.244.1.6")))
    lab.version = 2
    assert len(ask(program, "db.shop.svc.cluster.local").answer[0]) == 2


def test_what_does_not_fit_is_cut_unless_the_client_takes_more() -> None:
    many = slice_of("db", *(endpoint(f"10.244.1.{number}") for number in range(2, 82)))
    program = Lab(service("db"), many).program()
    short = ask(program, "db.shop.svc.cluster.local", use_edns=False)
    assert short.flags & dns.flags.TC
    assert len(short.to_wire()) <= 512
    whole = ask(program, "db.shop.svc.cluster.local", use_edns=0, payload=4096)
    assert not whole.flags & dns.flags.TC
    assert len(whole.answer[0]) == 80


def test_records_take_turns() -> None:
    program = Lab(service("db"), slice_of("db", endpoint("10.244.1.5"), endpoint("10.244.1.6"))).program()
    firsts = [str(ask(program, "db.shop.svc.cluster.local").answer[0][0]) for _ in range(4)]
    assert firsts in (["10.244.1.5", "10.244.1.6"] * 2, ["10.244.1.6", "10.244.1.5"] * 2)


def test_records_keep_their_order_where_nobody_asks_for_turns() -> None:
    both = slice_of("db", endpoint("10.244.1.5"), endpoint("10.244.1.6"))
    program = Lab(service("db"), both, corefile=COREFILE.replace("loadbalance", "errors")).program()
    firsts = {str(ask(program, "db.shop.svc.cluster.local").answer[0][0]) for _ in range(9)}
    assert firsts == {"10.244.1.5"}


def test_transfers_other_classes_and_other_opcodes_are_refused() -> None:
    program = Lab().program()
    assert rcode(ask(program, "cluster.local", "AXFR")) == "REFUSED"
    assert rcode(ask(program, "version.bind", "TXT", rdclass="CH")) == "REFUSED"
    update = dns.message.make_query("cluster.local", "SOA")
    update.set_opcode(dns.opcode.NOTIFY)
    assert rcode(datagram(program, update)) == "NOTIMP"


def test_noise_is_not_answered() -> None:
    assert wire.read(b"GET / HTTP/1.0\r\n\r\n") is None
    answer = dns.message.make_response(dns.message.make_query("a.example.com", "A"))
    assert wire.read(answer.to_wire()) is None


def test_names_outside_fail_without_an_upstream() -> None:
    lab = Lab()
    assert rcode(ask(lab.program(), "www.example.com")) == "SERVFAIL"
    assert "no upstream" in lab.log[-1]


def test_answers_from_elsewhere_are_kept_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Question] = []

    async def elsewhere(_netns: Path, _upstreams: object, question: Question, *, over_tcp: bool) -> Answer:
        asked.append(question)
        return Answer(records=(Record(question.name, "A", "198.51.100.80", 300),))

    monkeypatch.setattr(forward, "ask", elsewhere)
    program = Lab().program()
    first, again = (ask(program, name) for name in ("www.example.com", "WWW.example.com"))
    assert str(first.answer[0]) == "www.example.com. 300 IN A 198.51.100.80"
    assert str(again.answer[0]) == "WWW.example.com. 30 IN A 198.51.100.80", "kept for 30 s, as it says"
    assert len(asked) == 1
    ask(program, "server.example.com")
    assert len(asked) == 2


def test_the_modes_of_pod_records_and_a_changed_file() -> None:
    lab = Lab()
    program = lab.program()
    assert rcode(ask(program, "10-9-9-9.shop.pod.cluster.local")) == "NOERROR"
    lab.files["/etc/coredns/Corefile"] = COREFILE.replace("insecure", "verified")
    assert rcode(ask(program, "10-9-9-9.shop.pod.cluster.local")) == "NXDOMAIN"
    lab.files["/etc/coredns/Corefile"] = COREFILE.replace("insecure", "sometimes")
    assert rcode(ask(program, "10-9-9-9.shop.pod.cluster.local")) == "NXDOMAIN"
    assert "wrong value for pods: sometimes" in lab.log[-1]


def test_what_is_logged() -> None:
    lab = Lab(service("web", "10.96.0.20"), corefile=COREFILE.replace("errors", "log"))
    ask(lab.program(), "web.shop.svc.cluster.local", use_edns=False)
    assert '"A IN web.shop.svc.cluster.local. udp 44" NOERROR' in lab.log[-1]


_LARGE = """\
# comment
.:53 example.org:53 {
    kubernetes k8s.local 10.in-addr.arpa {
        pods verified
        ttl 7
        endpoint_pod_names
        fallthrough
        namespaces a b
    }
    health {
        lameduck 5s
    }
    forward . 10.0.0.1 [fd00::1]:5353 {
        except local
    }
    rewrite name a b
    rewrite ttl a 5
    autopath @kubernetes
}
stub.local:1053 {
    forward . 10.0.0.2
}
"""


def test_a_corefile_is_read() -> None:
    found = parse_corefile(_LARGE)
    first, second = found.blocks
    assert (first.zones, first.port) == ((".", "example.org."), 53)
    assert first.kubernetes is not None
    assert first.kubernetes.settings.pods is PodMode.VERIFIED
    assert first.kubernetes.settings.domain == "k8s.local."
    assert (first.kubernetes.settings.ttl, first.kubernetes.settings.endpoint_pod_names) == (7, True)
    assert first.kubernetes.fallthrough == (".",)
    assert first.forwards[0].upstreams == ("10.0.0.1", "[fd00::1]:5353")
    assert first.forwards[0].excluded == ("local.",)
    assert (second.zones, second.port, found.lameduck) == (("stub.local.",), 1053, 5.0)
    assert found.notices == (
        "Corefile:18: plugin autopath has no effect here",
        "kubernetes: option namespaces a b has no effect here",
        "rewrite: ttl a 5 has no effect here",
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no server block"),
        (".:53\n", "expected '{'"),
        (".:53 {\n  kubernetes cluster.local {\n    pods insecure\n", "not closed"),
        (".:53 {\n  errors\n", "not closed"),
        (".:53 {\n  health {\n    lameduck soon\n  }\n}\n", "invalid duration"),
        (".:53 {\n  forward .\n}\n", "forward needs"),
        (".:53 {\n  kubernetes cluster.local {\n    pods maybe\n  }\n}\n", "wrong value for pods"),
        (".:53 {\n  kubernetes in-addr.arpa\n}\n", "no zone"),
        (".:53 {\n  rewrite name regex ( b\n}\n", "invalid regex"),
        (".:53 {\n  hosts {\n    db 10.0.0.1\n  }\n}\n", "hosts: 'db'"),
        ('.:53 {\n  errors "\n}\n', "No closing quotation"),
    ],
)
def test_a_corefile_with_a_mistake_ends_the_server(text: str, message: str) -> None:
    with pytest.raises(CorefileError, match=message):
        parse_corefile(text)
    with pytest.raises(ProgramError, match="Corefile:"):
        Lab(corefile=text).program()


def test_a_table_of_its_own() -> None:
    table = "hosts {\n 192.0.2.7 db.corp\n fd00::7 db.corp\n ttl 60\n fallthrough\n }"
    program = Lab(service("web", "10.96.0.20"), corefile=COREFILE.replace("errors", table)).program()
    assert str(ask(program, "DB.corp").answer[0]) == "DB.corp. 60 IN A 192.0.2.7"
    assert str(ask(program, "db.corp", "AAAA").answer[0]) == "db.corp. 60 IN AAAA fd00::7"
    assert str(ask(program, "7.2.0.192.in-addr.arpa", "PTR").answer[0]).endswith("PTR db.corp.")
    assert (rcode(ask(program, "db.corp", "MX")), ask(program, "db.corp", "MX").answer) == ("NOERROR", [])
    assert rcode(ask(program, "web.shop.svc.cluster.local")) == "NOERROR", "other names fall through"
    closed = Lab(corefile=COREFILE.replace("errors", table.replace("fallthrough", ""))).program()
    assert rcode(ask(closed, "web.shop.svc.cluster.local")) == "SERVFAIL"


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ("name web.corp web.shop.svc.cluster.local", "web.corp."),
        ("stop name exact web.corp web.shop.svc.cluster.local", "Web.Corp."),
        ("name suffix .corp .shop.svc.cluster.local", "web.corp."),
        ("name prefix old-web web", "old-web.shop.svc.cluster.local."),
        ("name substring .intern. .svc.", "web.shop.intern.cluster.local."),
        (r"name regex (\w+)\.in\.(.*)\.corp {1}.{2}.svc.cluster.local", "web.in.shop.corp."),
        ("{\n        name regex (.*)\\.corp {1}.shop.svc.cluster.local answer auto\n    }", "web.corp."),
    ],
)
def test_names_are_rewritten_and_answered_as_they_were_asked(rule: str, asked: str) -> None:
    corefile = COREFILE.replace("errors", f"rewrite {rule}")
    program = Lab(service("web", "10.96.0.20"), corefile=corefile).program()
    assert str(ask(program, asked).answer[0]) == f"{asked} 30 IN A 10.96.0.20"
    assert rcode(ask(program, "nobody.shop.svc.cluster.local")) == "NXDOMAIN"


def test_ports_of_its_own() -> None:
    program = Lab().program()
    kinds = [(type(one).__name__, one.port) for one in program.listeners]
    assert kinds == [
        ("DatagramListener", 53),
        ("StreamListener", 53),
        ("HttpListener", 8181),
        ("HttpListener", 8080),
        ("HttpListener", 9153),
    ]


def test_several_questions_on_one_connection() -> None:
    program = Lab(service("web", "10.96.0.20")).program()
    listener = next(one for one in program.listeners if isinstance(one, StreamListener))
    data = dns.message.make_query("web.shop.svc.cluster.local", "A").to_wire()

    class Sink:
        """Collects what is written."""

        def __init__(self) -> None:
            self.data = b""

        def write(self, data: bytes) -> None:
            self.data += data

        async def drain(self) -> None:
            """Nothing holds it up."""

    async def talk() -> bytes:
        reader, sink = asyncio.StreamReader(), Sink()
        reader.feed_data((len(data).to_bytes(2) + data) * 2)
        reader.feed_eof()
        with pytest.raises(EOFError):
            await listener.handler(reader, sink, CLIENT)  # type: ignore[arg-type]
        return sink.data

    said = asyncio.run(talk())
    length = int.from_bytes(said[:2])
    assert len(said) == 2 * (2 + length)
    assert dns.message.from_wire(said[2 : 2 + length]).answer


def test_the_internet_answers_for_its_hosts() -> None:
    program = internet_resolver(InternetNames({}, {}))
    assert rcode(ask(program, "server.example.com")) == "NXDOMAIN"
    assert ask(program, "server.example.com").flags & dns.flags.RA

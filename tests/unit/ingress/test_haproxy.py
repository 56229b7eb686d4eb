"""The files that HAProxy is given. What it makes of them is shown with real requests."""

from __future__ import annotations

from emulator.cluster.ingress.haproxy import Listening, configuration
from emulator.cluster.ingress.model import Backend, Certificate, Routing, Server, Site

LISTENING = Listening(("0.0.0.0", "::"), 80, 443, (10254,), "PEM")


def section(text: str, head: str) -> list[str]:
    """The lines below a head, stripped."""
    lines = text[text.index(f"\n{head}\n") + len(head) + 2 :].splitlines()
    return [line.strip() for line in lines[: lines.index("")]]


def test_a_prefix_is_itself_and_what_is_below() -> None:
    sites = (Site("foo.com", exact={"/x/": "e"}, prefix={"/x": "p", "": "root"}),)
    files = configuration(Routing(sites), LISTENING)
    assert files["hosts.map"] == "foo.com foo.com\n"
    assert files["exact.map"] == "foo.com/x p\nfoo.com/x/ e\n"
    assert files["prefix.map"] == "foo.com/ root\nfoo.com/x/ p\n"


def test_exact_beats_a_prefix_of_the_same_path() -> None:
    files = configuration(Routing((Site("", exact={"/x": "e"}, prefix={"/x": "p"}),)), LISTENING)
    assert files["exact.map"] == "_/x e\n"
    assert files["hosts.map"] == ""


def test_defaults_of_hosts_and_of_all() -> None:
    files = configuration(Routing((Site("foo.com", default="d"),), default="all"), LISTENING)
    assert files["defaults.map"] == "foo.com d\n"
    assert "str(all)" in files["haproxy.cfg"]
    assert "str(not_found)" in configuration(Routing(), LISTENING)["haproxy.cfg"]


def test_servers_carry_the_names_of_their_pods() -> None:
    servers = (Server("shop/web-0", "10.244.1.2", 8080), Server("fd00::7", "fd00::7", 80))
    text = configuration(Routing(backends=(Backend("shop_web_80", servers),)), LISTENING)["haproxy.cfg"]
    lines = section(text + "\n", "backend shop_web_80")
    assert "server shop:web-0 10.244.1.2:8080" in lines
    assert "server fd00--7 [fd00::7]:80" in lines


def test_one_pod_under_two_ports_is_two_servers() -> None:
    servers = (Server("a/p", "10.244.1.2", 1), Server("a/p", "10.244.1.2", 2))
    text = configuration(Routing(backends=(Backend("b", servers),)), LISTENING)["haproxy.cfg"]
    assert "server a:p 10.244.1.2:1" in text
    assert "server a:p.2 10.244.1.2:2" in text


def test_no_server_is_503_with_the_reason_and_nothing_gets_into_the_configuration() -> None:
    excuse = 'no "such"\n  http-request deny\\ %[src] thing'
    text = configuration(Routing(backends=(Backend("b", excuse=excuse),)), LISTENING)["haproxy.cfg"]
    (line,) = section(text + "\n", "backend b")
    assert line.startswith("http-request return status 503 ")
    assert line.count('"') == 2
    assert "%" not in line


def test_it_listens_where_it_is_told() -> None:
    text = configuration(Routing(), LISTENING)["haproxy.cfg"]
    assert "bind 0.0.0.0:80\n" in text
    assert "bind [::]:443 v6only ssl crt-list certificates.list" in text
    assert "frontend health_10254" in text
    four = configuration(Routing(), Listening(("0.0.0.0",), 8080, 8443, (), "PEM"))["haproxy.cfg"]
    assert "[::]" not in four
    assert "bind 0.0.0.0:8080\n" in four


def test_certificates_by_server_name_the_default_first() -> None:
    routing = Routing(certificates=(Certificate("shop_cert", ("*.a.example", "a.example"), "PAIR"),))
    files = configuration(routing, LISTENING)
    assert files["certificates.list"].splitlines() == [
        "certificates/default.pem",
        "certificates/shop_cert.pem *.a.example a.example",
    ]
    assert files["certificates/default.pem"] == "PEM"
    assert files["certificates/shop_cert.pem"] == "PAIR"


def test_the_same_routing_gives_the_same_files() -> None:
    one, two = Site("a.example", prefix={"/": "x"}), Site("b.example")
    assert configuration(Routing((one, two)), LISTENING) == configuration(Routing((two, one)), LISTENING)

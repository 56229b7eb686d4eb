from __future__ import annotations

import re

import pytest

from emulator.cluster.model import Protocol
from emulator.cluster.places import parse_place
from emulator.cluster.state import headless_services
from emulator.engine.targets import Directory, Resolved, UnknownPlaceError
from tests.unit.cluster.lab import Lab, pod, service


@pytest.fixture
def directory() -> Directory:
    lab = Lab()
    lab.run(
        service("web", [{"port": 80, "targetPort": 8080}], clusterIP="None"),
        service("idle", clusterIP="None"),
        service("signals", [{"port": 7, "protocol": "SCTP"}]),
        pod("web", {"app": "web"}),
    )
    snapshot = lab.snapshot()
    aliases = {("default", "db"): "db.example.com"}
    return Directory(lab.state(), {}, headless_services(snapshot), aliases)


def test_traffic_to_a_headless_service_goes_to_an_endpoint(directory: Directory) -> None:
    place = parse_place("svc/default/web")
    assert directory.only_port(place) == (80, "tcp")
    found = directory.resolve(place, 80, Protocol.TCP.lower())
    addresses = directory.resolve(parse_place("web"), None, "tcp").addresses
    assert found == Resolved("svc/default/web", addresses[:1], ("default/web",), 8080)


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("svc/idle", "svc/default/idle is headless and has no ready endpoint to send to"),
        (
            "svc/db",
            "svc/default/db only stands for the name db.example.com: it has no address; "
            "probe the name: db.default.svc",
        ),
        ("db", "no running pod default/db; did you mean svc/db, or the name //db?"),
        ("svc/nobody", "no service svc/default/nobody; `mininetes get services -A` lists them"),
        ("svc/signal", "no service svc/default/signal; did you mean svc/default/signals?"),
        ("svc/shop/signals", "no service svc/shop/signals; did you mean svc/default/signals?"),
        ("shop/web", "no running pod shop/web; did you mean default/web or svc/default/web?"),
        ("wbe", "no running pod default/wbe; did you mean default/web?"),
        ("nobody", "no running pod default/nobody; `mininetes get pods -A` lists them"),
    ],
)
def test_services_that_cannot_be_sent_to_say_why(place: str, why: str, directory: Directory) -> None:
    with pytest.raises(UnknownPlaceError) as caught:
        directory.resolve(parse_place(place), 80, "tcp")
    assert str(caught.value) == why


def test_a_workload_of_another_namespace_is_named() -> None:
    pods = {"ReplicaSet/shop/web-1": ("web-1-a",), "Deployment/shop/web": ("web-1-a",)}
    found = Directory(Lab().state(), pods)
    for place, why in (
        ("deploy/web", "no deploy/default/web; did you mean deploy/shop/web?"),
        ("web", "no running pod default/web; did you mean deploy/shop/web?"),
        ("sts/web", "no sts/default/web; `mininetes get sts -n default` lists them"),
    ):
        with pytest.raises(UnknownPlaceError, match=re.escape(why)):
            found.site_of(parse_place(place))


def test_an_sctp_port_is_a_port(directory: Directory) -> None:
    assert directory.only_port(parse_place("svc/signals")) == (7, "sctp")


def test_a_host_port_leads_to_its_pod() -> None:
    lab = Lab()
    port = {"containerPort": 8080, "hostPort": 80}
    lab.run(pod("web", ports=[port], nodeName="worker-1"))
    found = Directory(lab.state(), {})
    assert found.resolve(parse_place("node/worker-1"), 80, "tcp").candidates == ("default/web",)
    assert found.resolve(parse_place("127.0.0.1"), 80, "tcp").candidates == ("default/web",)
    assert found.resolve(parse_place("node/worker-1"), 80, "udp").candidates == ("node/worker-1",)
    assert found.resolve(parse_place("node/worker-2"), 80, "tcp").candidates == ("node/worker-2",)
    assert found.resolve(parse_place("127.0.0.1"), 81, "tcp").candidates == ()

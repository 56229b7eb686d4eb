"""The DNS while the cluster changes: readiness at once, other modes, no servers for a while, the outside."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from emulator import Cluster
from emulator.cluster.dns.addon import COREFILE
from tests.system.naming.conftest import CLIENT
from tests.system.naming.dig import dig
from tests.system.naming.objects import NAMESPACE, corefile, gated
from tests.system.oracles.addresses import of_family
from tests.system.oracles.wire import recorded

pytestmark = pytest.mark.system

SVC = f"{NAMESPACE}.svc.cluster.local."
ADDRESSES = {"dns": "198.51.100.53", "client": "198.51.100.7"}


def answer(cluster: Cluster, name: str) -> list[str]:
    (found,) = dig(cluster, CLIENT, [(name, "A")])
    return found.answer


def say_ready(cluster: Cluster, status: str) -> None:
    conditions = cluster.get("Pod", "gated", NAMESPACE)["status"]["conditions"]
    kept = [condition for condition in conditions if condition["type"] != "names.example/said"]
    said = {"type": "names.example/said", "status": status}
    cluster.patch("Pod", "gated", NAMESPACE, {"status": {"conditions": [*kept, said]}}, subresource="status")
    cluster.wait_ready()


def test_readiness_shows_at_once(names: Cluster) -> None:
    names.apply([gated()])
    own = [f"A {of_family([e['ip'] for e in names.get('Pod', 'gated', NAMESPACE)['status']['podIPs']], 4)}"]
    assert answer(names, f"late.{SVC}") == []
    assert answer(names, f"early.{SVC}") == own
    say_ready(names, "True")
    assert answer(names, f"late.{SVC}") == own
    say_ready(names, "False")
    assert answer(names, f"late.{SVC}") == []
    assert answer(names, f"early.{SVC}") == own
    names.delete([gated()])
    assert answer(names, f"early.{SVC}") == []


@pytest.fixture
def usual_configuration(names: Cluster) -> Iterator[None]:
    """The Corefile as it was, in the end."""
    yield
    names.apply([corefile(COREFILE)])


@pytest.mark.usefixtures("usual_configuration")
def test_modes_of_pod_records(names: Cluster) -> None:
    pod = names.get("Pod", "web-a", NAMESPACE)["status"]["podIP"].replace(".", "-")
    questions = [(f"{label}.{NAMESPACE}.pod.cluster.local.", "A") for label in (pod, "10-9-8-7")]
    found = {}
    for mode in ("disabled", "insecure", "verified"):
        names.apply([corefile(COREFILE.replace("pods insecure", f"pods {mode}"))])
        found[mode] = [dug.status for dug in dig(names, CLIENT, questions)]
    assert found == {
        "disabled": ["NXDOMAIN", "NXDOMAIN"],
        "insecure": ["NOERROR", "NOERROR"],
        "verified": ["NOERROR", "NXDOMAIN"],
    }


@pytest.mark.parametrize(("transport", "name"), [("udp", "dns"), ("tcp", "client")])
def test_names_outside_are_asked_for_through_the_gateway(names: Cluster, transport: str, name: str) -> None:
    """The resolver outside sees the gateway's public address, by the transport that the pod has used."""
    with recorded(names, ["ext/dns"]) as tape:
        (found,) = dig(
            names, CLIENT, [(f"{name}.example.com.", "A")], "+tcp" if transport == "tcp" else "+notcp"
        )
        (query, *_) = tape.until(lambda headers: headers.get(f"{transport}.sport") == 53)
    assert found.answer == [f"A {ADDRESSES[name]}"]
    assert query["headers"][f"{transport}.dport"] == 53
    assert query["headers"]["ip.src"] == "203.0.113.1"


def test_without_servers_names_cannot_be_found_and_with_them_again(names: Cluster) -> None:
    def scale(replicas: int) -> None:
        names.patch("Deployment", "coredns", "kube-system", {"spec": {"replicas": replicas}})
        assert names.wait_ready().ready

    scale(0)
    refused = names.exec(CLIENT, ["dig", "+tries=1", "+time=1", f"web.{SVC}"])
    assert refused.exit_code == 9, "no servers could be reached"
    assert "connection refused" in refused.stdout
    scale(2)
    assert answer(names, f"web.{SVC}") == ["A 10.96.0.50"]

"""Faults of machines, cables and rules: packets before, what the fault does to them, and what is restored."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from emulator import Cluster
from emulator.api.errors import ApiError
from tests.system.conversation import conversation
from tests.system.faults.restored import assert_restored, standing
from tests.system.oracles.addresses import cluster_ip
from tests.system.oracles.objects import HTTP, UDP, pod
from tests.system.processes import PATIENCE, kill_and_await
from tests.system.reachability import FAMILIES, assert_everything_passes, closed_ways, shop
from tests.system.tampering import ofctl

pytestmark = pytest.mark.cluster(topology="three-node")

SILENCE = 0.3
"""Seconds after which a probe that is not to be answered gives up."""
PROTOCOLS = (f"{HTTP}/tcp", f"{UDP}/udp")


@pytest.fixture(scope="module")
def running(cluster: Cluster) -> Cluster:
    """A shop in which every way is open."""
    objects = [*shop(), pod("near", "worker-3")]
    for one in objects:
        if one["kind"] == "Pod":
            one["spec"]["tolerations"] = [{"operator": "Exists"}]  # a node that is lost keeps its pods
    assert cluster.apply(objects).ready.ready
    assert_everything_passes(cluster)
    return cluster


@pytest.fixture(scope="module")
def before(running: Cluster) -> dict[str, Any]:
    """What it consists of."""
    return standing(running)


@pytest.fixture
def whole(running: Cluster, before: dict[str, Any]) -> Iterator[Cluster]:
    """The cluster, which a test gives back as it was."""
    yield running
    running.clear()
    assert running.wait_ready(PATIENCE).ready
    assert running.faults() == []
    assert_restored(running, before)


def outcomes(
    cluster: Cluster, source: str, target: str, ports: Sequence[str] = PROTOCOLS, **options: Any
) -> set[str]:
    """What becomes of TCP and UDP in both families."""
    return {
        str(cluster.probe(source, target, port, family=family, **options)["outcome"])
        for family in FAMILIES
        for port in ports
    }


def services(cluster: Cluster, source: str, **options: Any) -> set[str]:
    """What becomes of what is sent to the shop's Services."""
    return {
        str(cluster.probe(source, f"svc/shop/web-v{family}", port, **options)["outcome"])
        for family in FAMILIES
        for port in ("80/tcp", "81/udp")
    }


def test_node_down(whole: Cluster) -> None:
    """Nothing comes, goes, or passes within; the others go on, and in the end the node is NotReady."""
    assert outcomes(whole, "shop/client", "shop/web-3") == {"connected"}
    assert outcomes(whole, "shop/near", "shop/web-3") == {"connected"}
    assert whole.inject("node-down", node="worker-3")["name"] == "node-down-1"
    assert outcomes(whole, "shop/client", "shop/web-3", timeout=SILENCE) == {"dropped"}
    assert "connected" not in outcomes(whole, "shop/near", "shop/web-3", timeout=SILENCE)
    assert outcomes(whole, "shop/client", "shop/web-2") == {"connected"}
    whole.wait_for("Node", "worker-3", None, lambda node: ready_of(node) == "Unknown", PATIENCE)
    whole.clear("node-down")
    whole.wait_for("Node", "worker-3", None, lambda node: ready_of(node) == "True", PATIENCE)
    assert outcomes(whole, "shop/client", "shop/web-3") == {"connected"}


def ready_of(node: dict[str, Any] | None) -> str:
    assert node is not None
    return next(str(one["status"]) for one in node["status"]["conditions"] if one["type"] == "Ready")


@pytest.mark.parametrize("fault", ["nat-gateway-down", "internet-gateway-down"])
def test_gateways_down(whole: Cluster, fault: str) -> None:
    ways = [("shop/client", "ext/server", "80/tcp"), ("shop/client", "ext/server", "53/udp")]
    before = [whole.probe(*way, family=family)["outcome"] for way in ways[:1] for family in FAMILIES]
    assert set(before) == {"connected"}
    whole.inject(fault)
    after = [whole.probe(*way, family=family, timeout=SILENCE) for way in ways for family in FAMILIES]
    assert {one["outcome"] for one in after} == {"dropped"}
    assert [one["seen"] for one in after] == [[]] * len(after), "nothing arrives"
    assert services(whole, "shop/client") == {"connected"}


def test_vpc_route_removed(whole: Cluster) -> None:
    """The fabric has no way out any more, in one family and not in the other; within it goes on."""
    told = whole.inject("vpc-route-removed", router="fabric", to="0.0.0.0/0")
    assert told["did"] == ["removed from router/fabric the route to 0.0.0.0/0"]
    assert whole.probe("shop/client", "ext/server", "80/tcp", family=4)["outcome"] != "connected"
    assert whole.probe("shop/client", "ext/server", "80/tcp", family=6)["outcome"] == "connected"
    assert services(whole, "shop/client") == {"connected"}
    lost = {one["match"] for one in whole.drift("fabric")["items"]}
    assert lost, "what is computed for a cluster that is well is not there"


def test_wrong_vtep(whole: Cluster) -> None:
    """One way of one pair of nodes is lost: pods of it, not the nodes, and nobody else."""
    whole.inject("wrong-vtep", node="worker-1", peer="worker-3")
    reports = [
        whole.probe("shop/client", "shop/web-3", port, family=family, timeout=SILENCE)
        for family in FAMILIES
        for port in PROTOCOLS
    ]
    assert {one["outcome"] for one in reports} == {"dropped"}
    assert all(one["seen"] == [] for one in reports)
    assert outcomes(whole, "shop/client", "shop/web-2") == {"connected"}
    assert outcomes(whole, "shop/web-2", "shop/web-3") == {"connected"}
    kill_and_await(whole, "engine")
    assert whole.wait_ready(PATIENCE).ready
    assert whole.probe("shop/client", "shop/web-3", PROTOCOLS[0])["outcome"] == "dropped", (
        "it outlives the engine"
    )
    whole.clear("wrong-vtep-1")
    assert outcomes(whole, "shop/client", "shop/web-3") == {"connected"}


def test_conntrack_full(whole: Cluster) -> None:
    """A connection that is tracked goes on, and none is added; it outlives the switch."""
    assert services(whole, "shop/client") == {"connected"}
    address = cluster_ip(whole, "web", 4)
    with conversation(whole, "shop/client", address, 80) as talk:
        talk.exchange()
        whole.inject("conntrack-full", node="worker-1")
        for _ in range(2):
            talk.exchange()
        assert services(whole, "shop/client", timeout=SILENCE) == {"dropped"}
        assert outcomes(whole, "shop/client", "shop/own", timeout=SILENCE) == {"dropped"}
        assert whole.probe("shop/client", "shop/own", "icmp", timeout=SILENCE)["outcome"] == "dropped"
        assert outcomes(whole, "shop/web-2", "shop/web-3") == {"connected"}, "other nodes have their own"
        talk.exchange()
    whole.inject("switch-killed")
    assert whole.wait_ready(PATIENCE).ready
    assert services(whole, "shop/client", timeout=SILENCE) == {"dropped"}
    whole.clear("conntrack-full")
    assert services(whole, "shop/client") == {"connected"}


def test_a_limit_of_connections(whole: Cluster) -> None:
    """So many get through, and no more."""
    whole.inject("conntrack-full", node="worker-1", left=2)
    report = whole.probe("shop/client", "svc/shop/web-v4", "80/tcp", count=8, timeout=1)
    assert 1 <= report["outcomes"]["connected"] <= 2
    assert report["outcomes"]["dropped"] >= 6


def test_flows_deleted_come_back(whole: Cluster) -> None:
    """The same seed chooses the same flows; the controller puts them back by itself."""
    whole.inject("controller-down")
    first = whole.inject("flows-deleted", node="worker-2", count=4, seed=7)
    missing = [one for one in whole.drift()["items"] if one["fault"] == "missing"]
    assert len(missing) == 4
    assert {one["node"] for one in missing} == {"worker-2"}
    assert all(one["owner"] is not None for one in missing)
    whole.clear()
    assert whole.wait_ready(PATIENCE).ready
    assert whole.drift()["items"] == []
    second = whole.inject("flows-deleted", node="worker-2", count=4, seed=7)
    assert second["did"] == first["did"]


def test_flows_altered(whole: Cluster) -> None:
    """While the controller is down, flows that drop stay; then they are as computed again."""
    whole.inject("controller-down")
    told = whole.inject("flows-altered", node="worker-1", count=6)
    assert isinstance(told["arguments"]["seed"], int)
    altered = whole.drift()["items"]
    assert [one["fault"] for one in altered] == ["altered"] * len(altered)
    assert 1 <= len(altered) <= 6, "a flow that drops anyway may be chosen"
    assert {one["node"] for one in altered} == {"worker-1"}
    whole.clear()


def test_diff_names_the_faults_and_healing_clears_them(whole: Cluster) -> None:
    """What somebody else did is healed beside them; a fault that makes no difference stays."""
    inject = whole.inject
    made = {
        ("mtu", "worker-1"): inject("link-mtu", link="worker-1,fabric", mtu=1300),
        ("mtu", "router/fabric"): inject("link-mtu", link="worker-1,fabric", mtu=1300),
        ("tunnel", "worker-3"): inject("wrong-vtep", node="worker-3", peer="worker-1"),
        ("link", "router/nat"): inject("nat-gateway-down"),
        ("flow", "router/fabric"): inject("vpc-route-removed", router="fabric"),
        ("flow", "worker-1"): inject("flows-altered", node="worker-1", count=20, seed=3),
        ("meter", "worker-2"): None,
        ("group", "worker-2"): None,
    }
    inject("conntrack-full", node="worker-2", left=1000)
    ofctl(whole, "mod-meter", "n2", "meter=1,pktps,band=type=drop,rate=9")
    ofctl(whole, "add-group", "n2", "group_id=5,type=all,bucket=actions=output:1")
    found = whole.drift()["items"]
    assert {(one["kind"], one["node"]) for one in found} >= made.keys()
    assert not [one for one in found if one["kind"] in ("flow", "link", "tunnel", "mtu") and not one["by"]]
    for (kind, node), fault in made.items():
        names = {name for one in found if (one["kind"], one["node"]) == (kind, node) for name in one["by"]}
        assert fault is None or fault["name"] in names
        assert fault or not names
    done = whole.drift("worker-2", heal=True)
    assert (done["items"], done["cleared"]) == ([], [])
    assert {(one["kind"], one["fault"]) for one in done["healed"]} == {
        ("meter", "altered"),
        ("group", "extra"),
    }
    inject("controller-down")
    deleted = inject("flows-deleted", node="worker-3", count=2, seed=1)
    by = [one["by"] for one in whole.drift("worker-3")["items"] if one["kind"] == "flow"]
    assert by == [["controller-down-1", deleted["name"]]] * 2
    done = whole.drift(heal=True)
    assert done["items"] == []
    assert len(done["cleared"]) == 8
    assert [fault["name"] for fault in whole.faults()] == ["conntrack-full-1"]
    assert closed_ways(whole) == []


def test_a_controller_that_is_down_leaves_traffic_alone(whole: Cluster) -> None:
    whole.inject("controller-down")
    assert closed_ways(whole) == []
    whole.clear("controller-down")


def test_mistakes_are_refused(running: Cluster) -> None:
    for fault, arguments, said in [
        ("node-down", {"node": "worker-33"}, "there is no node 'worker-33' (did you mean \"worker-3\"?)"),
        ("wrong-vtep", {"node": "worker-1", "peer": "worker-1"}, "no tunnel to itself"),
        ("vpc-route-removed", {"router": "fabrik"}, 'did you mean "fabric"?'),
        ("vpc-route-removed", {"router": "fabric", "to": "10.0.0.0/8"}, "it has 203.0.113.1/32, 0.0.0.0/0"),
        ("nat-gateway-down", {"router": "x"}, "there are nat"),
        ("container-crash", {"pod": "shop/web-9"}, "there is no pod 'shop/web-9'"),
        ("bird-down", {"place": "worker-1"}, "none in this topology"),
        ("proxy-down", {}, "no ingress proxies run"),
    ]:
        with pytest.raises(ApiError) as refused:
            running.inject(fault, **arguments)
        assert said in str(refused.value)
    with pytest.raises(ApiError, match="no fault 'node-down' is active; active: none"):
        running.clear("node-down")
    assert running.faults() == []

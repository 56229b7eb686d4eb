"""Oracles of egress, by their numbers: pods as the rest of the world sees them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from emulator import Cluster
from tests.system.oracles.addresses import (
    bare,
    external_address,
    node_address,
    node_port,
    pod_address,
    pod_gateway,
    public_address,
)
from tests.system.oracles.wire import ICMP, L3, PORT_UNREACHABLE, recorded, refusal

pytestmark = pytest.mark.topologies("three-node", "three-node-routed")

POD_RANGE = {4: "10.244.0.0/16", 6: "fd00:10:244::/56"}
PORTS = pytest.mark.parametrize("port", ["80/tcp", "7/udp", "icmp"])
CONNECTIONS = pytest.mark.parametrize("port", ["80/tcp", "7/udp"])
NODE_SIDE, INSIDE, OUTSIDE = "n1-up", "nat-1", "nat-2"


@PORTS
def test_68_a_pod_leaves_as_its_node(shop: Cluster, family: int, port: str) -> None:
    name, server = L3[family], external_address("server", family)
    node = bare(node_address(shop, "worker-1", family))
    there, back = (
        {f"{name}.src": node, f"{name}.dst": server},
        {f"{name}.src": server, f"{name}.dst": node},
    )
    as_itself = {f"{name}.src": POD_RANGE[family], f"{name}.dst": server}
    report = shop.probe(
        "shop/client",
        "ext/server",
        port,
        family=family,
        checks=[
            *({"at": place, "match": match} for place in (NODE_SIDE, INSIDE) for match in (there, back)),
            *(
                {"at": place, "match": as_itself, "count": "0"}
                for place in (NODE_SIDE, INSIDE, OUTSIDE, "ext/server")
            ),
        ],
    )
    assert report["outcome"] == "connected"
    assert all(check["ok"] for check in report["checks"]), report["checks"]
    assert {answer["source"] for answer in report["answers"]} == {server}


@PORTS
@pytest.mark.parametrize("source", ["shop/client", "shop/far", "node/worker-2"])
def test_69_the_server_sees_the_public_address(shop: Cluster, family: int, port: str, source: str) -> None:
    name, server = L3[family], external_address("server", family)
    public = {f"{name}.src": public_address(family), f"{name}.dst": server}
    private = {f"{name}.src": bare(node_address(shop, "worker-1", family))}
    report = shop.probe(
        source,
        "ext/server",
        port,
        family=family,
        checks=[{"at": OUTSIDE, "match": public}, {"at": OUTSIDE, "match": private, "count": "0"}],
    )
    assert report["outcome"] == "connected"
    assert report["sourceSeen"] == [public_address(family)]
    assert all(check["ok"] for check in report["checks"]), report["checks"]


def test_69_the_application_is_told_the_public_address(shop: Cluster, family: int) -> None:
    report = shop.probe("shop/client", "ext/server", "80/tcp", family=family, http="http://server/")
    assert f'"client": "{public_address(family)}"' in report["http"][0]["body"]


@PORTS
def test_69_unsolicited_packets_end_at_the_gateway(shop: Cluster, family: int, port: str) -> None:
    name, server = L3[family], external_address("server", family)
    echo, reply = {4: (8, 0), 6: (128, 129)}[family]
    ours, answers = {
        "80/tcp": ({"tcp.flags": "S"}, {"tcp.sport": 80}),
        "7/udp": ({"udp.dport": 7}, {"udp.sport": 7}),
        "icmp": ({f"{ICMP[family]}.type": echo}, {f"{ICMP[family]}.type": reply}),
    }[port]
    from_server = {f"{name}.src": server, **ours}
    report = shop.probe(
        "ext/server",
        public_address(family),
        port,
        checks=[
            {"at": OUTSIDE, "match": from_server},
            {"at": INSIDE, "match": from_server, "count": "0"},
            {"at": OUTSIDE, "match": {f"{name}.dst": server, **answers}, "count": "0"},
            {"at": OUTSIDE, "match": {f"quoted.{name}.src": server}, "count": "0"},
        ],
    )
    assert report["outcome"] == "dropped"
    assert all(check["ok"] for check in report["checks"]), report["checks"]
    control = shop.probe("shop/client", "ext/server", port, family=family)
    assert control["outcome"] == "connected", "replies pass"


@CONNECTIONS
def test_69_a_translated_port_is_open_to_its_peer_only(shop: Cluster, family: int, port: str) -> None:
    """Another host cannot use the way that a connection has opened, the peer itself can."""
    report = shop.probe("shop/client", "ext/server", port, family=family)
    assert report["outcome"] == "connected"
    (seen,) = report["seen"]
    number, protocol = port.split("/")
    # A closed TCP connection lets nothing more in; the datagrams of its peer still pass.
    for host, passes in (("client", False), ("server", True))[: 1 if protocol == "tcp" else 2]:
        mark = {"seq": 77_777} if protocol == "tcp" else {"payload": f"from {host}"}
        (field, value), *_ = mark.items()
        match = {"tcp.seq" if field == "seq" else "payload": value}
        probe = shop.probe(
            f"ext/{host}",
            public_address(family),
            f"{seen['sourcePort']}/{protocol}",
            packet={"packet": protocol, "source": {"port": int(number)}, **mark},
            timeout=0.2,
            checks=[{"at": "shop/client", "match": match, "count": ">=1" if passes else "0"}],
        )
        assert all(check["ok"] for check in probe["checks"]), (host, probe["checks"])


@CONNECTIONS
def test_70_equal_source_ports_are_told_apart(shop: Cluster, family: int, port: str) -> None:
    number, protocol = port.split("/")
    own = 45_000 + int(number) + family
    server, node = external_address("server", family), bare(node_address(shop, "worker-1", family))
    sources = ["shop/client", "node/worker-1", "shop/neighbour", "shop/remote", "node/worker-2", "shop/solo"]
    with recorded(shop, [NODE_SIDE]) as tape:
        seen = {}
        for source in sources:
            report = shop.probe(source, "ext/server", port, family=family, source_port=own)
            assert report["outcome"] == "connected", report
            (seen[source],) = (entry["sourcePort"] for entry in report["seen"])
            assert {answer["destinationPort"] for answer in report["answers"]} == {own}
        shop.probe("shop/client", "ext/client", "icmp", family=family)
        frames = [frame["headers"] for frame in tape.until(_leads_to_the_client(family))]
    assert len(set(seen.values())) == len(sources), seen
    leaving = {
        (headers[f"{L3[family]}.src"], headers[f"{protocol}.sport"])
        for headers in frames
        if headers.get(f"{L3[family]}.dst") == server and f"{protocol}.sport" in headers
    }
    assert {address for address, _ in leaving} == {node}
    assert len(leaving) == 4, "three pods and the node itself share the node's address"
    assert (node, own) in leaving


def _leads_to_the_client(family: int):  # type: ignore[no-untyped-def]
    return lambda headers: headers.get(f"{L3[family]}.dst") == external_address("client", family)


def test_71_an_error_of_the_internet_reaches_the_pod(shop: Cluster, family: int) -> None:
    server = external_address("server", family)
    report = shop.probe("shop/client", "ext/server", "9/udp", family=family, count=3, timeout=60)
    assert report["outcomes"] == {"rejected": 3}
    assert refusal(report) == PORT_UNREACHABLE[family]
    (rejection,) = report["rejections"]
    assert rejection["from"] == server
    quotes = rejection["quotes"]
    assert (quotes["source"], quotes["destination"]) == (bare(pod_address(shop, "client", family)), server)
    assert quotes["destinationPort"] == 9
    control = shop.probe("shop/client", "ext/server", "7/udp", family=family)
    assert control["outcome"] == "connected"


def test_71_a_refused_connection_is_refused(shop: Cluster, family: int) -> None:
    report = shop.probe("shop/client", "ext/server", "9/tcp", family=family, count=3, timeout=60)
    assert report["outcomes"] == {"rejected": 3}
    assert {rejection["kind"] for rejection in report["rejections"]} == {"tcp-reset"}


@pytest.mark.parametrize("protocol", ["tcp", "udp", "icmp"])
def test_71_routers_on_the_way_out_tell_when_time_is_exceeded(
    shop: Cluster, family: int, protocol: str
) -> None:
    """Two translations later each hop's error still says what the pod sent."""
    ladder = {"packet": "traceroute", "protocol": protocol, "last": 5}
    port = "80/tcp" if protocol == "tcp" else "icmp"
    report = shop.probe("shop/client", "ext/server", port, family=family, packet=ladder)
    hops = report["crafted"]["hops"]
    server, pod = external_address("server", family), bare(pod_address(shop, "client", family))
    assert len({hop["from"] for hop in hops}) == 5
    assert hops[0]["from"] == bare(pod_gateway(shop, "worker-1", family))
    assert hops[-1]["from"] == server
    for hop in hops[:-1]:
        assert hop["name"] == "time-exceeded"
        assert hop["quotes"]["destination"] == server
        if (family, protocol) != (6, "tcp"):  # see test_routing.test_11
            assert hop["quotes"]["source"] == pod


@PORTS
def test_72_what_a_pod_replies_is_never_masqueraded(shop: Cluster, family: int, port: str) -> None:
    """A node outside the pods' range asks: the answer leaves the cluster network, yet as the pod's own."""
    inward = {"80/tcp": "8080/tcp", "7/udp": "8081/udp"}.get(port, port)
    report = shop.probe("node/worker-2", "shop/far", inward, family=family, count=3)
    assert report["outcomes"] == {"connected": 3}
    assert {answer["source"] for answer in report["answers"]} == {bare(pod_address(shop, "far", family))}
    if port != "icmp":
        assert {answer["sourcePort"] for answer in report["answers"]} == {int(inward.split("/")[0])}


@CONNECTIONS
def test_72_nor_what_it_replies_through_a_node_port(shop: Cluster, family: int, port: str) -> None:
    """The client's own address is outside the cluster: a reply to it looks like egress, and is none."""
    protocol = port.split("/")[1]
    number = node_port(shop, "local", family, protocol.upper())
    client, node = external_address("client", family), bare(node_address(shop, "worker-1", family))
    to_client = {f"{L3[family]}.dst": client, "l4": protocol}
    right = {**to_client, f"{L3[family]}.src": node, f"{protocol}.sport": number}
    report = shop.probe(
        "ext/client",
        "node/worker-1",
        f"{number}/{protocol}",
        family=family,
        count=3,
        checks=[
            {"at": NODE_SIDE, "match": right, "count": ">=3"},
            {"at": NODE_SIDE, "match": {**to_client, f"{protocol}.sport": f"!={number}"}, "count": "0"},
            {"at": NODE_SIDE, "match": {**to_client, f"{L3[family]}.src": f"!={node}"}, "count": "0"},
        ],
    )
    assert report["outcomes"] == {"connected": 3}
    assert report["sourceSeen"] == [client]
    assert all(check["ok"] for check in report["checks"]), report["checks"]


def test_pods_cannot_be_reached_from_outside_by_their_own_addresses(shop: Cluster, family: int) -> None:
    address = bare(pod_address(shop, "client", family))
    assert ip_address(address) in ip_network(POD_RANGE[family])
    from_server = {f"{L3[family]}.src": external_address("server", family)}
    report = shop.probe(
        "ext/server",
        address,
        "8080/tcp",
        checks=[
            {"at": place, "match": {**from_server, f"{L3[family]}.dst": address}, "count": "0"}
            for place in (INSIDE, NODE_SIDE)
        ],
    )
    assert report["outcome"] in ("dropped", "rejected")
    assert all(check["ok"] for check in report["checks"]), report["checks"]

"""`trace`, `flows` and `diff`: what people and programs read."""

from __future__ import annotations

import json
from typing import Any

from ..fake_cluster import FakeCluster
from .conftest import Invoke


def hop(node: str, stage: str, action: str, weight: str = "change", **more: Any) -> dict[str, Any]:
    return {
        "node": node,
        "stage": stage,
        "action": action,
        "owner": "",
        "direction": "forward",
        "weight": weight,
        **more,
    }


def traced(**more: Any) -> dict[str, Any]:
    flow = {"table": 25, "priority": 200, "match": "tcp,reg2=0x7", "actions": ["ct(commit)"], "cookie": "0x1"}
    return {
        "apiVersion": "mininetes.io/v1",
        "kind": "Trace",
        "from": "shop/web",
        "to": "svc/shop/db",
        "port": "80/tcp",
        "outcome": "connected",
        "endpoint": "shop/db-0",
        "endpointPort": 8080,
        "sourceSeen": "10.244.0.2",
        "packet": "SYN 10.244.0.2:40000 → 10.96.0.20:80",
        "hops": [
            hop("worker-1", "TTLGuard", "ttl left", "pass"),
            hop("worker-1", "SpoofGuard", "own address", "note"),
            hop(
                "worker-1",
                "EndpointDNAT",
                "10.96.0.20:80 ⇒ 10.244.1.3:8080",
                owner="Service/shop/db",
                bridge="n1",
                **flow,
            ),
            hop("shop/db-0", "", "SYN 10.244.0.2:40000 → 10.244.1.3:8080"),
            hop(
                "worker-1",
                "ConntrackZone",
                "10.244.1.3:8080 ⇒ 10.96.0.20:80",
                direction="reply",
                derived=True,
            ),
            hop("shop/web", "", "SYN/ACK 10.96.0.20:80 → 10.244.0.2:40000", direction="reply"),
        ],
        "notes": ["whether a process listens there, flow tables do not know"],
        **more,
    }


def test_trace_tells_stages_under_their_places(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.traced = traced()
    told = invoke("trace", "web", "svc/db:80/tcp", "-n", "shop", "--family", "4")
    assert told.exit_code == 0
    assert cluster.calls == [("trace", "shop/web", "svc/shop/db", "80/tcp", 4)]
    lines = told.stdout.splitlines()
    assert lines[2].split() == ["1", "shop/web", "SYN", "10.244.0.2:40000", "→", "10.96.0.20:80"]
    assert lines[3].split() == ["2", "worker-1", "SpoofGuard", "own", "address"]
    assert "EndpointDNAT      10.96.0.20:80 ⇒ 10.244.1.3:8080   [Service/shop/db]" in lines[4]
    assert "TTLGuard" not in told.stdout
    assert "SYN/ACK" not in told.stdout
    seen = "connected   shop/db-0 sees 10.244.0.2; the reply is translated back on worker-1 (derived): "
    seen += "shop/web sees 10.96.0.20:80 answer"
    assert seen in told.stdout


def test_trace_tells_more_or_less(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.traced = traced()
    cluster.installed = []
    detail = invoke("trace", "shop/web", "svc/shop/db", "--detail").stdout
    assert "TTLGuard" in detail
    assert "table=25,priority=200,tcp,reg2=0x7 actions=ct(commit)" in detail
    minimal = invoke("trace", "shop/web", "svc/shop/db", "--minimal").stdout
    assert "SpoofGuard" not in minimal
    assert "EndpointDNAT" in minimal


def test_trace_tells_the_answers_way(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.traced = traced()
    told = invoke("trace", "shop/web", "svc/shop/db", "--reply").stdout
    assert "the answer\n" in told
    assert "10.244.1.3:8080 ⇒ 10.96.0.20:80 (derived)" in told


def test_trace_names_who_drops(invoke: Invoke, cluster: FakeCluster) -> None:
    last = hop("worker-1", "L3Forwarding", "dropped: no such service port", owner="Service/shop/db")
    cluster.traced = traced(outcome="dropped", hops=[last])
    told = invoke("trace", "shop/web", "svc/shop/db")
    assert told.exit_code == 0
    assert "dropped   no such service port, at worker-1 in L3Forwarding by Service/shop/db" in told.stdout


def test_trace_for_programs_and_for_pages(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.traced = traced()
    assert json.loads(invoke("trace", "shop/web", "svc/shop/db", "-o", "json").stdout) == traced()
    diagram = invoke("trace", "shop/web", "svc/shop/db", "-o", "mermaid").stdout.splitlines()
    assert diagram[:2] == ["sequenceDiagram", "  participant p0 as shop/web"]
    at = diagram.index("  Note over p1: EndpointDNAT 10.96.0.20:80 ⇒ 10.244.1.3:8080")
    ways = [line for line in diagram[at:] if "->>" in line and line.endswith(":8080")]
    assert ways, "further on it is what it was translated to"
    assert not [line for line in diagram[at:] if line.endswith("→ 10.96.0.20:80")]


LIVE = {
    "outcome": "connected",
    "endpoints": ["shop/db-0"],
    "seen": [],
    "milliseconds": 1.25,
    "refusedByEndpoint": False,
    "unpredicted": [],
    "hops": [
        {
            "node": "worker-1",
            "interface": "p1-2",
            "side": "in",
            "direction": "forward",
            "packet": "SYN 10.244.0.2:40000 → 10.96.0.20:80",
            "ttl": 64,
            "outer": "",
            "seen": "10.244.0.2:40000 → 10.96.0.20:80, ttl 64",
            "packets": 1,
            "microseconds": 120.0,
            "found": "",
            "agrees": True,
        }
    ],
    "agrees": True,
}


def test_trace_live_tells_each_hop(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.traced = traced(live=LIVE)
    told = invoke("trace", "shop/web", "svc/shop/db", "--port", "80/tcp", "--live")
    assert told.exit_code == 0
    (line,) = [line for line in told.stdout.splitlines() if "p1-2" in line]
    assert line.split(maxsplit=8)[:8] == ["into", "worker-1", "at", "p1-2", "0.120", "ms", "1", "×"]
    assert "live        connected shop/db-0 after 1.2 ms, as traced" in told.stdout


def test_trace_live_shows_where_it_differs(invoke: Invoke, cluster: FakeCluster) -> None:
    missing = {**LIVE["hops"][0], "packets": 0, "seen": "", "microseconds": None, "found": "nothing came"}
    hops = [*LIVE["hops"], {**missing, "side": "out", "interface": "n1-tun", "agrees": False}]
    live = {**LIVE, "outcome": "dropped", "hops": hops, "unpredicted": ["out of n1-up: x"], "agrees": False}
    cluster.traced = traced(live=live)
    told = invoke("trace", "shop/web", "svc/shop/db", "--port", "80/tcp", "--live")
    assert told.exit_code == 1
    assert "✗ out of worker-1 at n1-tun" in told.stdout
    assert "there: nothing came" in told.stdout
    assert "✗ not traced: out of n1-up: x" in told.stdout
    assert "live        dropped shop/db-0 after 1.2 ms, not as traced" in told.stdout


def test_trace_in_detail_counts_the_packets_of_each_flow(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.traced = traced()
    cluster.installed = [{**FLOW, "match": "tcp,reg2=0x7"}]
    told = invoke("trace", "shop/web", "svc/shop/db", "--detail").stdout
    assert "table=25,priority=200,tcp,reg2=0x7 n_packets=7 actions=ct(commit)" in told


def test_a_trace_begins_at_no_port(invoke: Invoke, cluster: FakeCluster) -> None:
    assert invoke("trace", "shop/web:80", "svc/shop/db").exit_code == 2
    assert invoke("trace", "shop/web", "svc/shop/db:80", "--port", "80").exit_code == 2
    assert cluster.calls == []


FLOW = {
    "node": "worker-1",
    "bridge": "n1",
    "stage": "EndpointDNAT",
    "table": 25,
    "priority": 200,
    "match": "tcp",
    "actions": "drop",
    "cookie": "0x1",
    "owner": "Service/shop/db",
    "name": "translate",
    "packets": 7,
    "bytes": 9,
    "learned": False,
}


def test_flows_by_owner_and_stage(invoke: Invoke, cluster: FakeCluster) -> None:
    stranger = {**FLOW, "stage": "Output", "table": 70, "owner": "", "name": ""}
    cluster.installed = [FLOW, stranger]
    everything = invoke("flows", "worker-1").stdout
    assert cluster.calls == [("flows", "worker-1")]
    assert "Service/shop/db" in everything
    assert "<unknown>" in everything
    for asked in (("--owner", "service/shop/db"), ("--stage", "endpointdnat"), ("--stage", "25")):
        assert json.loads(invoke("flows", *asked, "-o", "json").stdout)["items"] == [FLOW]
    assert invoke("flows", "--stage", "Nowhere").exit_code == 2


DRIFT = {
    "node": "worker-1",
    "bridge": "n1",
    "fault": "altered",
    "stage": "EndpointDNAT",
    "table": 25,
    "priority": 200,
    "match": "tcp",
    "computed": "goto_table:40",
    "installed": "drop",
    "owner": "Service/shop/db",
    "name": "translate",
}


def test_diff_says_whether_something_differs(invoke: Invoke, cluster: FakeCluster) -> None:
    fine = invoke("diff")
    well = "all switches hold what was computed, and the kernel what was planned\n"
    assert (fine.exit_code, fine.stdout) == (0, well)
    cluster.drifted = {"kind": "Drift", "items": [DRIFT], "healed": []}
    told = invoke("diff", "worker-1")
    assert told.exit_code == 1
    assert "altered  worker-1  EndpointDNAT  Service/shop/db (translate)  priority 200  tcp" in told.stdout
    assert "computed   goto_table:40" in told.stdout
    assert "installed  drop" in told.stdout
    assert json.loads(invoke("diff", "-o", "json").stdout) == cluster.drifted


def test_diff_heals(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.drifted = {"kind": "Drift", "items": [], "healed": [DRIFT]}
    told = invoke("diff", "--heal")
    assert told.exit_code == 0
    assert cluster.calls == [("drift", None, True)]
    assert told.stdout.startswith("healed   worker-1")


BESIDE = {
    "node": "worker-1",
    "bridge": "n1",
    "kind": "meter",
    "fault": "extra",
    "object": "meter 9",
    "computed": "",
    "installed": "pktps: type=drop rate=9",
    "owner": "",
    "name": "",
    "by": [],
}


def test_diff_names_the_faults_that_did_it(invoke: Invoke, cluster: FakeCluster) -> None:
    cluster.drifted = {
        "items": [{**DRIFT, "by": ["flows-altered-1", "controller-down-1"]}, BESIDE],
        "healed": [],
    }
    told = invoke("diff").stdout.splitlines()
    assert told[0].endswith("priority 200  tcp  by fault flows-altered-1, controller-down-1")
    assert told[3:] == ["extra    worker-1  meter  nobody  meter 9", "    installed  pktps: type=drop rate=9"]
    cluster.drifted = {"items": [], "healed": [DRIFT, BESIDE], "cleared": [{"name": "flows-altered-1"}]}
    told = invoke("diff", "--heal").stdout.splitlines()
    assert told[0] == "cleared  flows-altered-1"
    assert told[2] == "healed   worker-1  meter  nobody  meter 9"


def test_diff_tells_what_the_controller_put_right_by_itself(invoke: Invoke, cluster: FakeCluster) -> None:
    words = {"stage": "SNAT", "owner": "Node/worker-1", "name": "as-the-node"}
    one = {"node": "worker-1", "bridge": "n1", "at": "2026-11-29T07:00:00Z", "did": "deleted", **words}
    strange = {**one, "did": "added", "owner": "", "name": ""}
    cluster.drifted = {"items": [], "healed": [], "cleared": [], "repaired": [one, strange]}
    told = invoke("diff")
    assert told.exit_code == 0
    first, second, last = told.stdout.splitlines()
    assert first.startswith("repaired worker-1  SNAT  Node/worker-1 (as-the-node)  deleted ")
    assert second.startswith("repaired worker-1  SNAT  nobody  added ")
    assert last.startswith("all switches hold")

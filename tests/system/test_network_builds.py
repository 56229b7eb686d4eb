"""The network in a sandbox of its own: what is built, that packets pass, that restarts are survived."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emulator.sandbox import Sandbox

LAB = Path(__file__).with_name("network_lab.py")


def lab(sandbox: Sandbox, *words: str) -> Any:
    done = subprocess.run(
        sandbox.command(["python", str(LAB), *words]),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_everything_of_the_plan_is_there(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "describe")
    assert seen["wanted"].items() <= seen["ofports"].items()
    assert len(seen["bridges"]) == 6
    assert {tuple(row[1:]) for row in seen["bridges"]} == {("netdev", "secure", "OpenFlow13")}

    assert seen["types"] == ["internal"], "bridges are joined by veth pairs, never by patch ports"
    assert seen["switch_addresses"] == ["lo 127.0.0.1", "lo ::1"], "the kernel has no say on bridges' ports"

    loopback, eth0 = seen["pod"]
    assert "UP" in loopback["flags"]
    assert (eth0["mtu"], eth0["operstate"], eth0["address"]) == (1450, "UP", "0a:58:0a:f4:01:02")
    addresses = {f"{a['local']}/{a['prefixlen']}" for a in eth0["addr_info"]}
    assert addresses == {"10.244.1.2/32", "fd00:10:244:1::2/128"}, "no link-local address either"
    assert [[r.get("gateway") for r in routes if r["dst"] == "default"] for routes in seen["pod_routes"]] == [
        ["10.244.1.1"],
        ["fd00:10:244:1::1"],
    ]
    assert "tx-checksumming: off" in seen["pod_offload"]

    node = {a["local"] for a in seen["node"][1]["addr_info"]}
    assert node == {"192.168.50.11", "10.244.1.1", "fd00:192:168:50::11", "fd00:10:244:1::1"}
    sources = {r["dst"]: r.get("prefsrc") for routes in seen["node_routes"] for r in routes if "gateway" in r}
    assert sources["10.244.0.0/16"] == "10.244.1.1"
    assert sources["fd00:10:244::/56"] == "fd00:10:244:1::1"

    tunnel = seen["tunnel"][0]
    data = tunnel["linkinfo"]["info_data"]
    assert (data["id"], data["local"], data["port"], tunnel["mtu"]) == (1, "192.168.50.11", 4789, 1450)
    assert not data["learning"]
    assert {(e["mac"], e["dst"]) for e in seen["fdb"] if "dst" in e} == {
        ("02:04:00:00:00:02", "192.168.50.12"),
        ("02:04:00:00:00:03", "192.168.50.13"),
    }

    assert seen["sysctls"]["net/ipv4/ip_unprivileged_port_start"] == ["0"]
    assert seen["sysctls"]["net/ipv4/ping_group_range"][0] == "0"
    assert seen["sysctls"]["net/ipv6/conf/default/accept_ra"] == ["0"]


@pytest.mark.parametrize("topology", ["single-node", "two-zone-vpc", "leaf-spine"])
def test_other_topologies_are_built(sandbox: Sandbox, topology: str) -> None:
    seen = lab(sandbox, "build", topology)
    assert (seen["missing"], seen["down"]) == ([], [])
    assert {"ext/client", "ext/server", "shop/web-1-0"} <= set(seen["places"])


def test_packets_cross_bridges_links_and_tunnels(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "connect", "three-node")
    assert seen.pop("encapsulated") >= 2
    assert seen.pop("too_large") is False, "1451 bytes with DF leave no pod"
    assert seen == dict.fromkeys(("nodes", "nodes_ipv6", "nodes_tcp", "pods", "pods_tcp", "largest"), True)


def test_offload_breaks_no_connection(launched: Callable[..., Sandbox]) -> None:
    seen = lab(launched("test", offload=True), "connect", "three-node", "offload")
    assert seen["nodes_tcp"]
    assert seen["pods_tcp"]


def test_a_routed_topology_needs_no_tunnel(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "connect", "three-node-routed")
    assert seen == dict.fromkeys(("nodes", "nodes_ipv6", "nodes_tcp"), True)


def test_a_restarted_engine_adopts_and_mends(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "adopt")
    assert seen["left_over"] is False
    assert seen["ofports"] == seen["wanted"]
    assert seen["macs"] == seen["wanted_macs"]
    assert set(seen["up"]) == {"UP"}
    assert seen["untouched"], "what was right stays as it is"


def test_pods_go_and_come_back(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "detach")
    assert [seen[key] for key in ("ports", "netns", "links", "shown")] == [[], [], [], []]
    assert all(seen["back"].values())
    assert seen["forwards"], "the port that came back is the new device's"


def test_rates_hold_and_survive_ovs_vswitchd(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "shape")
    assert seen["before"] == ["tbf"]
    assert seen["external"]
    assert seen["after"] == ["tbf"]
    assert seen["same_ofports"]
    if not seen["has_netem"]:
        assert "sch_netem" in seen["netem"]
        assert "node/worker-1" in seen["netem"]


def test_bridges_dial_a_controller_that_came_back(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "redial")
    assert seen["seconds"] < 0.5
    assert "NORMAL" in seen["flows"]


def test_two_hundred_pods_on_ten_nodes_take_about_a_second(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "scale")
    print({step: round(seconds, 3) for step, seconds in seen.items()})
    assert seen["attach"] < 3.0, "half a second on an idle machine; the rest is for a busy one"
    assert seen["again"] < 0.1


def test_mininet_sees_pods_without_a_shell(sandbox: Sandbox) -> None:
    seen = lab(sandbox, "mininet")
    assert (seen["shell_before"], seen["shell_after"], seen["others"]) == (False, True, [])
    assert seen["ip"] == "10.244.1.2"
    assert seen["pexec"] == 0
    assert seen["same"]
    assert "0a:58:0a:f4:01:02" in seen["popen"]


def test_the_prompt_takes_places_from_a_pipe(sandbox: Sandbox) -> None:
    script = """nodes
shop/web-1-0 ping -c1 shop/web-1-1
link pod/shop/web-1-1 n1 down
links
shop/web-1-0 ping -c1 -W1 shop/web-1-1
link shop/web-1-1 n1 up
shop/web-1-0 ping -c1 -W2 shop/web-1-1
node/worker-1 ip route get 10.244.2.2
dump
py net.get('shop/web-1-0').cmd('echo from python')
"""
    said = lab(sandbox, "prompt", script)["said"]
    assert "ext/client ext/dns ext/server fabric internet n1" in said
    assert said.count("PING 10.244.1.3") == 3
    assert said.count("1 packets transmitted, 1 received") == 2
    assert said.count("100% packet loss") == 1
    assert "n1:p1-3<->shop/web-1-1:eth0 (DOWN OK)" in said
    assert "src 10.244.1.1" in said
    assert "<PodHost shop/web-1-0: eth0:10.244.1.2" in said
    assert "from python" in said


def host_sysctls() -> dict[str, str]:
    found: dict[str, str] = {}
    for directory, _, files in os.walk("/proc/sys/net"):
        for name in files:
            path = Path(directory, name)
            try:
                found[str(path)] = path.read_text()
            except (OSError, UnicodeDecodeError):
                continue
    return {path: text for path, text in found.items() if "nf_conntrack_count" not in path}


def test_no_sysctl_of_the_host_changes(sandbox: Sandbox) -> None:
    before = host_sysctls()
    assert before
    lab(sandbox, "mininet")
    assert host_sysctls() == before

"""What a cluster consists of, to be compared before a fault and after."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from emulator import Cluster
from emulator.network.names import netns_path


def output(cluster: Cluster, *command: str) -> str:
    """What a command in the sandbox prints."""
    done = subprocess.run(cluster.sandbox.command(list(command)), capture_output=True, text=True, check=True)
    return done.stdout


def standing(cluster: Cluster) -> dict[str, Any]:
    """Flows, interfaces, tunnels' ends, limits of connection tracking, addresses and routes."""
    flows = {
        (one["bridge"], one["table"], one["priority"], one["match"], one["actions"], one["owner"])
        for one in cluster.flows()
        if not one["learned"]
    }
    links = json.loads(output(cluster, "ip", "-json", "link"))
    found: dict[str, Any] = {
        "flows": flows,
        "links": {(one["ifname"], one["mtu"], "UP" in one["flags"], one["operstate"]) for one in links},
        "tunnels": sorted(line for line in output(cluster, "bridge", "fdb").splitlines() if " dst " in line),
        "limits": output(cluster, "ovs-appctl", "dpctl/ct-get-limits"),
    }
    for node in ("worker-1", "worker-2", "worker-3"):
        enter = ("nsenter", f"--net={netns_path(f'node/{node}')}", "ip")
        found[f"addresses {node}"] = output(cluster, *enter, "-o", "address").splitlines()
        for family in ("-4", "-6"):
            routes = output(cluster, *enter, family, "route", "show", "table", "all").splitlines()
            found[f"routes {family} {node}"] = sorted(route.split(" expires ")[0] for route in routes)
    return found


def assert_restored(cluster: Cluster, before: dict[str, Any]) -> None:
    """Everything is as it was."""
    after = standing(cluster)
    for what, was in before.items():
        if isinstance(was, set):
            assert not was ^ after[what], (what, was - after[what], after[what] - was)
        else:
            assert after[what] == was, what

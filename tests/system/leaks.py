"""What a cluster holds: flows, namespaces, processes, open files, memory, connections of dead pods."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from emulator import Cluster
from tests.system.hygiene import inside

WATCHED = ("engine", "controller", "ovs-vswitchd")
_SURVEY = """
import json, os, sys
processes = [int(name) for name in os.listdir("/proc") if name.isdigit()]
found = {}
for name, pid in json.loads(sys.argv[1]).items():
    status = open(f"/proc/{pid}/status").read()
    memory = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    found[name] = {"files": len(os.listdir(f"/proc/{pid}/fd")), "memory": int(memory.split()[1]) // 1024}
print(json.dumps({"processes": len(processes), "netns": len(os.listdir("/run/netns")), "of": found}))
"""
_LASTING = re.compile(r"protoinfo=\(state=ESTABLISHED\)")


@dataclass(frozen=True)
class Holdings:
    """Counts, and megabytes."""

    flows: int
    netns: int
    processes: int
    files: dict[str, int]
    memory: dict[str, int]


def holdings(cluster: Cluster) -> Holdings:
    """What the cluster holds now."""
    units = cluster.sandbox.services()
    pids = {name: units[name]["pid"] for name in WATCHED}
    survey = json.loads(inside(cluster, "python3", "-c", _SURVEY, json.dumps(pids)))
    return Holdings(
        flows=sum(bridge["flows"] for bridge in cluster.status()["bridges"].values()),
        netns=survey["netns"],
        processes=survey["processes"],
        files={name: survey["of"][name]["files"] for name in WATCHED},
        memory={name: survey["of"][name]["memory"] for name in WATCHED},
    )


def connections_of_the_dead(cluster: Cluster, everybody: set[str]) -> list[str]:
    """Connections that would last for a day, of addresses that belong to none of `everybody`."""
    found = []
    for line in inside(cluster, "ovs-appctl", "dpctl/dump-conntrack").splitlines():
        addresses = set(re.findall(r"(?:src|dst)=([0-9a-f.:]+)", line))
        pods = {one for one in addresses if one.startswith(("10.244.", "fd00:10:244:"))}
        if _LASTING.search(line) and pods - everybody:
            found.append(line)
    return found

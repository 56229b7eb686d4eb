"""`python -m bench.sweep`: how long a matrix of 9 pods, 2 ports and 3 protocols takes, half of it dropped."""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from typing import Any

from emulator import Cluster

SPACES, NAMES = ("x", "y", "z"), ("a", "b", "c")
PORTS = [f"{number}/{protocol}" for protocol in ("tcp", "udp", "sctp") for number in (80, 81)]
GOAL = 1.0
"""Seconds."""


def _objects() -> list[dict[str, Any]]:
    objects: list[dict[str, Any]] = []
    for space in SPACES:
        objects.append({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
        for at, name in enumerate(NAMES, 1):
            containers = [
                {
                    "name": f"serve-{port}",
                    "image": "agnhost",
                    "args": ["netexec", f"--http-port={port}", f"--udp-port={port}"],
                }
                for port in (80, 81)
            ]
            metadata = {"name": name, "namespace": space}
            spec = {"nodeName": f"worker-{at}", "containers": containers}
            objects.append({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    policy = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    metadata = {"name": "none", "namespace": "y"}
    api = "networking.k8s.io/v1"
    objects.append({"apiVersion": api, "kind": "NetworkPolicy", "metadata": metadata, "spec": policy})
    return objects


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.sweep", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        os.environ["MININETES_HOME"] = directory
        with Cluster.up("three-node", name="sweep") as cluster:
            cluster.apply(_objects())
            reports = [cluster.matrix(PORTS, namespaces=SPACES) for _ in range(wanted.rounds)]
    figure = statistics.median(report["seconds"] for report in reports)
    last = reports[-1]
    print(f"{last['probes']} probes, {last['drops']} dropped, {last['earlyDrops']} of them known early")
    print(f"median {figure:.2f} s, goal {GOAL:g} s, {last['probes'] / figure:.0f} a second")
    return 0 if figure <= GOAL else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""One cluster for all of these tests: namespaces x, y, z with pods a, b, c, and a prober in all of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from string import Template
from typing import Any

import pytest
import yaml

from emulator import Cluster
from emulator.network.names import netns_path
from tests.property.policy_suite import labels as labels_of
from tests.property.policy_suite import named_ports
from tests.system.hygiene import assert_clean, inside
from tests.system.policies.table import FAMILIES, PODS, PORTS, Way

Object = dict[str, Any]
PROBER = Path(__file__).with_name("prober.py")
NODES = {"a": "worker-1", "b": "worker-2", "c": "worker-3"}


def namespace(name: str, **labels: str) -> Object:
    """A namespace with the label `ns`, as the e2e tests have it."""
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {"ns": name, **labels}},
    }


def pod(place: str, **labels: str) -> Object:
    """A pod whose servers are the prober's: its container only declares the ports."""
    where, name = place.split("/")
    ports = [
        {"name": f"serve-{port}-{protocol.lower()}", "containerPort": port, "protocol": protocol}
        for port in PORTS
        for protocol in ("TCP", "UDP", "SCTP")
    ]
    # A name is a container's own, so that one pod has it once for each protocol.
    ports_of = [ports, *([one] for one in named_ports(place))]
    image = "registry.k8s.io/pause:3.9"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": where, "labels": labels_of(place) | labels},
        "spec": {
            "nodeName": NODES[name],
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {"name": f"part-{number}", "image": image, "ports": declared}
                for number, declared in enumerate(ports_of)
            ],
        },
    }


@dataclass
class Playground:
    """The cluster, the prober, and the policies that are there."""

    cluster: Cluster
    prober: subprocess.Popen[str]
    addresses: dict[str, str]
    """For policies with addresses: `xa4`, `xa6`, ..."""
    there: dict[tuple[str, str], Object] = field(default_factory=dict)
    relabelled: dict[str, Object] = field(default_factory=dict)

    def apply(self, where: str, name: str, spec: str) -> None:
        """Create a policy, or change it; returns when it is in force."""
        text = Template(spec).substitute(self.addresses)
        policy = {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": {"name": name, "namespace": where},
            "spec": yaml.safe_load(f"{{{text}}}"),
        }
        self.there[where, name] = policy
        self.cluster.apply([policy])

    def put(self, *policies: Object) -> None:
        """Create or change policies, as they are written; returns when they are in force."""
        for policy in policies:
            metadata = policy["metadata"]
            self.there[metadata.get("namespace", ""), metadata["name"]] = policy
        self.cluster.apply(policies)

    def address(self, place: str, family: int) -> str:
        """Of a pod."""
        return self.addresses[place.replace("/", "") + str(family)]

    def delete(self, where: str, name: str) -> None:
        """Delete a policy; returns when it is no longer in force."""
        self.cluster.delete([self.there.pop((where, name))])

    def label(self, place: str, **labels: str) -> None:
        """Give a pod (`x/a`) or a namespace (`y`) labels beside its own."""
        made, plain = (pod, pod(place)) if "/" in place else (namespace, namespace(place))
        self.relabelled[place] = plain
        self.cluster.apply([made(place, **labels)])

    def reset(self) -> None:
        """No policies, the first labels, and every two pods known to each other."""
        if self.there:
            self.cluster.delete(list(self.there.values()))
        if self.relabelled:
            self.cluster.apply(list(self.relabelled.values()))
        self.there.clear()
        self.relabelled.clear()
        self._ask({"warm": True})

    def reached(self, protocol: str) -> set[Way]:
        """Every way that packets of that protocol take now: there and back again, or for SCTP there."""
        if protocol == "sctp":
            # Open vSwitch tracks SCTP by its addresses: now it knows every two pods that may speak. Policies
            # have to tell ports apart all the same.
            self._reached(protocol)
        return self._reached(protocol)

    def said(self, protocol: str) -> dict[str, set[Way]]:
        """The same ways as the objects mean them (`spec`) and as the flow tables have them (`trace`)."""
        found: dict[str, set[Way]] = {"spec": set(), "trace": set()}
        ports = [f"{port}/{protocol}" for port in PORTS]
        for family in FAMILIES:
            report = self.cluster.matrix(ports, namespaces=["x", "y", "z"], family=family, answers=[*found])
            for port, answers in report["ports"].items():
                for answer, ways in found.items():
                    ways |= {
                        (source, target, family, int(port.split("/")[0]))
                        for source, row in answers[answer].items()
                        for target, outcome in row.items()
                        if outcome == "connected" and source != target
                    }
        return found

    def _reached(self, protocol: str) -> set[Way]:
        answer = self._ask({"protocol": protocol, "ports": PORTS})
        return {(source, target, family, port) for source, target, family, port in answer}

    def _ask(self, request: Object) -> Any:
        assert self.prober.stdin is not None
        assert self.prober.stdout is not None
        self.prober.stdin.write(json.dumps(request) + "\n")
        self.prober.stdin.flush()
        answer = json.loads(self.prober.stdout.readline())
        assert isinstance(answer, list), answer
        return answer


@pytest.fixture(scope="package")
def cluster() -> Iterator[Cluster]:
    running = Cluster.up("three-node", name=f"policies-{os.getpid()}")
    try:
        # Every warning counts: none may hide behind "dropped 10 log messages".
        inside(running, "ovs-appctl", "vlog/disable-rate-limit")
        yield running
        assert_clean(running)
    finally:
        running.down()


@pytest.fixture(scope="package")
def shared(cluster: Cluster) -> Iterator[Playground]:
    applied = cluster.apply([*map(namespace, "xyz"), *map(pod, PODS)])
    assert applied.ready.ready, applied.ready.missing
    given: dict[str, Object] = {}
    for place in PODS:
        where, name = place.split("/")
        found = cluster.get("Pod", name, where)["status"]["podIPs"]
        addresses = {str(ip_address(entry["ip"]).version): entry["ip"] for entry in found}
        given[place] = {"netns": str(netns_path(place)), **addresses}
    command = cluster.sandbox.command(["python3", "-c", PROBER.read_text()])
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(json.dumps(given) + "\n")
    short = {
        place.replace("/", "") + str(family): given[place][str(family)]
        for place in PODS
        for family in FAMILIES
    }
    try:
        yield Playground(cluster, process, short)
    finally:
        process.stdin.close()
        process.wait(30)


@pytest.fixture
def playground(shared: Playground) -> Playground:
    """Without policies."""
    shared.reset()
    return shared

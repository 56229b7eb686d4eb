from __future__ import annotations

import time

from emulator.api.objects import JsonObject
from emulator.cluster.manager import reconcile

from .lab import Lab, pod, service, wiring_of, workload


def full_cluster() -> list[JsonObject]:
    objects: list[JsonObject] = []
    for number in range(10):
        objects += [workload("Deployment", f"d{number}", replicas=18), service(f"d{number}", type="NodePort")]
    objects += [workload("DaemonSet", "log"), workload("StatefulSet", "db", replicas=5, serviceName="db")]
    return [*objects, workload("Job", "sum", completions=3), service("db", clusterIP="None"), pod("alone")]


def test_a_settled_cluster_has_nothing_left_to_do() -> None:
    lab = Lab(wiring_of(nodes=10))
    lab.run(*full_cluster())
    assert len(lab.pods()) > 190
    assert reconcile(lab.snapshot(), lab.now) == ()


def test_two_hundred_pods_settle_in_a_moment() -> None:
    """The bound leaves room for a busy machine: it takes 0.1 s on an idle one."""
    lab = Lab(wiring_of(nodes=10))
    for obj in full_cluster():
        lab.store.create(obj)
    start = time.perf_counter()
    lab.settle()
    assert time.perf_counter() - start < 2
    assert all(p["status"].get("podIP") for p in lab.pods())

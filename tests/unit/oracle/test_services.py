"""The second opinion on Services: a table of situations, and agreement with the first on random ones."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.api.objects import Key
from emulator.cluster.outcome import Outcome
from emulator.cluster.pods import is_active
from emulator.oracle.services import Frontend, Question, expected
from emulator.oracle.world import Json, World
from tests.unit.cluster.lab import Lab, pod, service, workload


def made(name: str, node: str = "worker-1", *, ready: bool = True, ending: bool = False, **more: Any) -> Json:
    metadata: Json = {"name": name, "namespace": "shop", "labels": {"app": "web"}}
    if ending:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    status: Json = {
        "phase": "Running",
        "podIP": "10.244.1.2",
        "podIPs": [{"ip": "10.244.1.2"}, {"ip": "fd00:10:244:1::2"}],
        "conditions": [{"type": "Ready", "status": str(ready)}],
        **more,
    }
    spec = {
        "nodeName": node,
        "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}],
    }
    return {"kind": "Pod", "metadata": metadata, "spec": spec, "status": status}


def web(**spec: Any) -> Json:
    port = {"port": 80, "protocol": "TCP", "targetPort": "http", "nodePort": 30080}
    fields = {"selector": {"app": "web"}, "clusterIP": "10.96.0.20", "ipFamilies": ["IPv4"], "ports": [port]}
    return {"kind": "Service", "metadata": {"name": "web", "namespace": "shop"}, "spec": {**fields, **spec}}


ASK = Question("shop", "web", 80, "TCP", 4, node="worker-1")
AT_NODE = Question("shop", "web", 80, "TCP", 4, Frontend.NODE_PORT, "worker-1")
FROM_HERE = Question("shop", "web", 80, "TCP", 4, Frontend.NODE_PORT, "worker-1", from_pod_here=True)
BOTH = [made("a"), made("b", "worker-2")]
LOCAL = {"externalTrafficPolicy": "Local"}


@pytest.mark.parametrize(
    ("pods", "spec", "question", "outcome", "names"),
    [
        (BOTH, {}, ASK, Outcome.CONNECTED, "a b"),
        ([], {}, ASK, Outcome.REJECTED, ""),
        ([made("a", ready=False)], {}, ASK, Outcome.REJECTED, ""),
        ([made("a", ready=False)], {"publishNotReadyAddresses": True}, ASK, Outcome.CONNECTED, "a"),
        ([made("a", phase="Failed")], {"publishNotReadyAddresses": True}, ASK, Outcome.REJECTED, ""),
        ([made("a", ending=True), made("b")], {}, ASK, Outcome.CONNECTED, "b"),
        ([made("a", ending=True)], {}, ASK, Outcome.CONNECTED, "a"),
        ([made("a", ending=True, ready=False)], {}, ASK, Outcome.REJECTED, ""),
        ([made("a", podIP="", podIPs=[])], {}, ASK, Outcome.REJECTED, ""),
        (BOTH, LOCAL, AT_NODE, Outcome.CONNECTED, "a"),
        (BOTH, LOCAL, FROM_HERE, Outcome.CONNECTED, "a b"),
        ([made("b", "worker-2")], LOCAL, AT_NODE, Outcome.DROPPED, ""),
        ([made("a", ending=True), made("b", "worker-2")], LOCAL, AT_NODE, Outcome.CONNECTED, "a"),
        ([], LOCAL, AT_NODE, Outcome.REJECTED, ""),
        (BOTH, {"internalTrafficPolicy": "Local"}, ASK, Outcome.CONNECTED, "a"),
        (BOTH, {"internalTrafficPolicy": "Local"}, AT_NODE, Outcome.CONNECTED, "a b"),
        (BOTH, {"ipFamilies": ["IPv6"]}, ASK, Outcome.DROPPED, ""),
        (BOTH, {"ports": [{"port": 80, "targetPort": "nobody"}]}, ASK, Outcome.REJECTED, ""),
        (BOTH, {"ports": [{"port": 80, "targetPort": 1}]}, ASK, Outcome.CONNECTED, "a b"),
        (BOTH, {"ports": [{"port": 80, "targetPort": 1}]}, AT_NODE, Outcome.DROPPED, ""),
        (BOTH, {"selector": {"app": "other"}}, ASK, Outcome.REJECTED, ""),
    ],
)
def test_what_should_happen(
    pods: list[Json], spec: Json, question: Question, outcome: Outcome, names: str
) -> None:
    found = expected(World.of([web(**spec), *pods]), question)
    assert (found.outcome, sorted(found.pods)) == (outcome, [f"shop/{name}" for name in names.split()])
    assert found.reason


def test_a_service_that_is_not_there() -> None:
    assert expected(World.of(BOTH), ASK).outcome is Outcome.DROPPED


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_both_opinions_agree_on_who_is_an_endpoint(data: st.DataObject) -> None:
    """What the control loops put into slices and the compiler's model reads, is what the oracle says."""
    lab = Lab()
    lab.run(
        service("web", externalTrafficPolicy="Cluster", type="NodePort"),
        workload("Deployment", "web", replicas=4),
    )
    lab.run(pod("alone", {"app": "web"}))
    for one in lab.pods(app="web"):
        fate = data.draw(st.sampled_from(["stays", "unready", "ends", "fails"]))
        name = one["metadata"]["name"]
        if fate == "unready":
            lab.set_ready(one, False)
        elif fate == "fails":
            lab.finish(one, "Failed")
        elif fate == "ends" and is_active(lab.get_pod(one)):
            lab.store.delete(Key("Pod", "default", name), grace_seconds=30)
    lab.settle()
    (port,) = next(one for one in lab.state().services if one.ref.name == "web").ports
    ready = {str(e.target.name) for e in port.endpoints if e.ready and e.target}
    draining = {str(e.target.name) for e in port.endpoints if e.serving and e.terminating and e.target}
    world = World.of([*lab.store.list("Pod"), *lab.store.list("Service")])
    found = expected(world, Question("default", "web", 80, "TCP", 4, node="worker-1"))
    assert {name.removeprefix("default/") for name in found.pods} == (ready or draining)

"""What pods hear of host ports that they cannot have, or that nobody can reach."""

from __future__ import annotations

from emulator.cluster.pods import condition

from .lab import Lab, pod

HOST = "kubernetes.io/hostname"


def events(lab: Lab, name: str) -> list[tuple[str, str, str]]:
    return [
        (event["type"], event["reason"], event["message"])
        for event in lab.store.list("Event")
        if event["involvedObject"]["name"] == name
    ]


def test_a_pod_that_waits_for_a_host_port_says_so_in_an_event() -> None:
    lab = Lab()
    ports = [{"containerPort": 80, "hostPort": 8080}]
    place = {"ports": ports, "nodeSelector": {HOST: "worker-1"}}
    lab.apply(pod("one", **place), pod("two", **place))
    why = condition(lab.get("Pod", "two"), "PodScheduled")["message"]  # type: ignore[index]
    assert "1 node(s) didn't have free ports for the requested pod ports" in why
    assert events(lab, "one") == []
    assert events(lab, "two") == [("Warning", "FailedScheduling", why)]
    lab.advance(60)
    lab.settle()
    assert events(lab, "two") == [("Warning", "FailedScheduling", why)]
    lab.apply(pod("three", ports=ports, nodeName="worker-1"))
    ((kind, reason, message),) = events(lab, "three")
    assert (kind, reason) == ("Warning", "NodePorts")
    assert message.startswith("Pod was rejected: Predicate NodePorts failed")


def test_a_host_port_that_nobody_can_reach_is_said() -> None:
    lab = Lab()
    port = {"containerPort": 80, "hostPort": 8080}
    places = {"away": "192.168.50.12", "six": "::1", "here": "192.168.50.11", "lo": "127.0.0.1"}
    for name, address in places.items():
        lab.apply(pod(name, ports=[{**port, "hostIP": address}], nodeSelector={HOST: "worker-1"}))
    assert events(lab, "here") == events(lab, "lo") == []
    ((_, reason, why),) = events(lab, "away")
    assert reason == "HostPortUnreachable"
    assert why == "hostPort 8080 at 192.168.50.12 answers nowhere: no address of node worker-1"
    assert "Linux routes no packets out of that address" in events(lab, "six")[0][2]

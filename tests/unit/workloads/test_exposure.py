from __future__ import annotations

from typing import Any

import pytest

from emulator.workloads.exposure import ports_of
from tests.unit.workloads.manifests import Objects, container, pod, service


def found(*containers: dict[str, Any], objects: Objects | None = None) -> list[tuple[int, str]]:
    wanted = pod(*containers)
    ports = ports_of(wanted, wanted["spec"]["containers"][0], objects or Objects())
    return [(port.port, port.protocol) for port in ports]


def web(**port: Any) -> Objects:
    """A Service that selects the pod."""
    wanted = service("web", "10.96.0.9", {"port": 80, **port})
    wanted["spec"]["selector"] = {"app": "web"}
    return Objects(wanted)


def test_what_is_declared_counts_alone() -> None:
    declared = container(image="grafana/grafana", ports=[{"containerPort": 53, "protocol": "UDP"}])
    assert found(declared, objects=web(targetPort=8080)) == [(53, "UDP")]


def test_an_image_may_be_known_to_expose_ports() -> None:
    assert found(container(image="docker.io/grafana/grafana:11")) == [(3000, "TCP")]
    assert found(container(image="ealen/echo-server")) == [(80, "TCP")]
    assert found(container(image="jmalloc/echo-server")) == [(8080, "TCP")]


def test_probes_and_services_tell_the_rest() -> None:
    silent = container(image="corp/shop", readinessProbe={"httpGet": {"port": 8080}})
    assert found(silent) == [(8080, "TCP")]
    assert found(silent, objects=web(targetPort=8080)) == [(8080, "TCP")]
    assert found(silent, objects=web()) == [(8080, "TCP"), (80, "TCP")]
    assert found(silent, objects=web(targetPort=53, protocol="UDP")) == [(8080, "TCP"), (53, "UDP")]


@pytest.mark.parametrize("target", ["http", 9000])
def test_a_service_that_means_another_container_tells_nothing(target: object) -> None:
    other = container("other", ports=[{"name": "http", "containerPort": 9000}])
    assert found(container(image="corp/shop"), other, objects=web(targetPort=target)) == []


def test_of_two_silent_containers_the_first_answers() -> None:
    assert found(container(image="a/b"), container("two"), objects=web()) == [(80, "TCP")]
    wanted = pod(container(image="a/b"), container("two", image="a/c"))
    assert ports_of(wanted, wanted["spec"]["containers"][1], web()) == ()

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.workloads.environment import expand, service_variables, variables_of
from emulator.workloads.references import MissingReferenceError
from tests.unit.workloads.manifests import Objects, config_map, container, pod, secret, service


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(A)", "1"),
        ("x$(A)y$(B)", "x1y2"),
        ("$(MISSING)", "$(MISSING)"),
        ("$$(A)", "$(A)"),
        ("$$$(A)", "$1"),
        ("$$$$(A)", "$$(A)"),
        ("$(A", "$(A"),
        ("$A", "$A"),
        ("a$", "a$"),
        ("$()", "$()"),
    ],
)
def test_references_expand_as_in_kubelet(text: str, expected: str) -> None:
    assert expand(text, {"A": "1", "B": "2"}) == expected


@given(st.text())
def test_text_without_a_dollar_never_changes(text: str) -> None:
    text = text.replace("$", "")
    assert expand(text, {"A": "1"}) == text


def test_service_variables() -> None:
    found = service_variables(
        [
            service("redis-primary", "10.96.0.11", {"port": 6379}, {"port": 9121, "name": "metrics"}),
            service("dns", "10.96.0.10", {"port": 53, "protocol": "UDP", "name": "dns"}),
            service("headless", "None", {"port": 80}),
            service("external", None, {"port": 80}),
        ]
    )
    assert found == {
        "REDIS_PRIMARY_SERVICE_HOST": "10.96.0.11",
        "REDIS_PRIMARY_SERVICE_PORT": "6379",
        "REDIS_PRIMARY_SERVICE_PORT_METRICS": "9121",
        "REDIS_PRIMARY_PORT": "tcp://10.96.0.11:6379",
        "REDIS_PRIMARY_PORT_6379_TCP": "tcp://10.96.0.11:6379",
        "REDIS_PRIMARY_PORT_6379_TCP_PROTO": "tcp",
        "REDIS_PRIMARY_PORT_6379_TCP_PORT": "6379",
        "REDIS_PRIMARY_PORT_6379_TCP_ADDR": "10.96.0.11",
        "REDIS_PRIMARY_PORT_9121_TCP": "tcp://10.96.0.11:9121",
        "REDIS_PRIMARY_PORT_9121_TCP_PROTO": "tcp",
        "REDIS_PRIMARY_PORT_9121_TCP_PORT": "9121",
        "REDIS_PRIMARY_PORT_9121_TCP_ADDR": "10.96.0.11",
        "DNS_SERVICE_HOST": "10.96.0.10",
        "DNS_SERVICE_PORT": "53",
        "DNS_SERVICE_PORT_DNS": "53",
        "DNS_PORT": "udp://10.96.0.10:53",
        "DNS_PORT_53_UDP": "udp://10.96.0.10:53",
        "DNS_PORT_53_UDP_PROTO": "udp",
        "DNS_PORT_53_UDP_PORT": "53",
        "DNS_PORT_53_UDP_ADDR": "10.96.0.10",
    }


def test_an_ipv6_service_has_brackets_in_its_url() -> None:
    assert service_variables([service("db", "fd00::1", {"port": 1})])["DB_PORT"] == "tcp://[fd00::1]:1"


def test_everything_that_a_container_can_ask_for() -> None:
    wanted = container(
        envFrom=[
            {"configMapRef": {"name": "config"}, "prefix": "C_"},
            {"secretRef": {"name": "nowhere", "optional": True}},
        ],
        env=[
            {"name": "PLAIN", "value": "v"},
            {"name": "BACK", "value": "$(PLAIN)-$(DB_SERVICE_HOST)-$(LATER)"},
            {"name": "LATER", "value": "no"},
            {"name": "IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
            {"name": "IPS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIPs"}}},
            {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "TIER", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['tier']"}}},
            {"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "secret", "key": "password"}}},
            {
                "name": "NONE",
                "valueFrom": {"configMapKeyRef": {"name": "config", "key": "x", "optional": True}},
            },
            {"name": "CPU", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}},
            {
                "name": "MIB",
                "valueFrom": {"resourceFieldRef": {"resource": "requests.memory", "divisor": "1Mi"}},
            },
        ],
        resources={"limits": {"cpu": "250m"}, "requests": {"memory": "64Mi"}},
    )
    objects = Objects(
        config_map(colour="blue"),
        secret(password="cGFzcw=="),
        service("db", "10.96.0.5", {"port": 5432}),
        service("kubernetes", "10.96.0.1", {"port": 443}, namespace="default"),
        service("elsewhere", "10.96.0.9", {"port": 1}, namespace="blog"),
    )
    found = variables_of(pod(wanted), wanted, objects)
    links = {name for name in found if "SERVICE" in name or "_PORT" in name}
    assert {name: value for name, value in found.items() if name not in links} == {
        "C_colour": "blue",
        "PLAIN": "v",
        "BACK": "v-10.96.0.5-$(LATER)",
        "LATER": "no",
        "IP": "10.244.1.2",
        "IPS": "10.244.1.2,fd00::2",
        "NODE": "worker-1",
        "TIER": "front",
        "KEY": "pass",
        "CPU": "1",
        "MIB": "64",
    }
    assert {name.partition("_")[0] for name in links} == {"DB", "KUBERNETES"}


def test_service_links_can_be_declined_but_for_the_api_server() -> None:
    objects = Objects(
        service("db", "10.96.0.5", {"port": 5432}),
        service("kubernetes", "10.96.0.1", {"port": 443}, namespace="default"),
    )
    found = variables_of(pod(enableServiceLinks=False), container(), objects)
    assert {name.partition("_")[0] for name in found} == {"KUBERNETES"}


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"configMapKeyRef": {"name": "nowhere", "key": "k"}}, 'configmap "nowhere" not found'),
        ({"secretKeyRef": {"name": "nowhere", "key": "k"}}, 'secret "nowhere" not found'),
        ({"configMapKeyRef": {"name": "config", "key": "k"}}, "couldn't find key k in ConfigMap shop/config"),
    ],
)
def test_a_missing_reference_is_told_as_kubelet_tells_it(field: dict[str, object], message: str) -> None:
    wanted = container(env=[{"name": "X", "valueFrom": field}])
    with pytest.raises(MissingReferenceError) as error:
        variables_of(pod(wanted), wanted, Objects(config_map(a="b")))
    assert str(error.value) == message

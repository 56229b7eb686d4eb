"""Objects that the oracle tests put into a cluster: pods in known places, services over them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Object = dict[str, Any]

HTTP, UDP, DEAD = 8080, 8081, 9999
"""Container ports: netexec over TCP and UDP, and a port that nobody listens on."""


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def pod(name: str, node: str, *, app: str = "", where: str = "shop", **spec: Any) -> Object:
    """A pod on `node` that answers on HTTP and UDP."""
    container = {
        "name": "main",
        "image": "registry.k8s.io/e2e-test-images/agnhost:2.47",
        "args": ["netexec", f"--http-port={HTTP}", f"--udp-port={UDP}"],
        "ports": [{"containerPort": HTTP}, {"containerPort": UDP, "protocol": "UDP"}],
    }
    metadata = {"name": name, "namespace": where, "labels": {"app": app or name}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            **spec,
        },
    }


def service(name: str, app: str, *, family: int, ports: Iterable[Object] = (), **spec: Any) -> Object:
    """A Service of one family over the pods of `app`: 80/tcp and 81/udp unless said otherwise."""
    usual = (
        {"name": "http", "port": 80, "targetPort": HTTP},
        {"name": "udp", "port": 81, "protocol": "UDP", "targetPort": UDP},
    )
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": f"{name}-v{family}", "namespace": "shop"},
        "spec": {
            "selector": {"app": app},
            "ports": list(ports) or [dict(port) for port in usual],
            "ipFamilies": [f"IPv{family}"],
            "ipFamilyPolicy": "SingleStack",
            **spec,
        },
    }


def is_over(one: Object) -> bool:
    """Whether a pod has come to its end."""
    return one["status"].get("phase") in ("Succeeded", "Failed")

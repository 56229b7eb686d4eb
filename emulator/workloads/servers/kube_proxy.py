"""kube-proxy's two HTTP servers on a node: the health of a Service's endpoints, and its own.

Words and headers are those of pkg/proxy/healthcheck (service_health.go, proxy_health.go).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address

from emulator.cluster.health import HealthCheck
from emulator.workloads.servers.program import HttpListener, Program, Request, Response

HEALTHZ_PORT = 10256
"""kube-proxy's `--healthz-bind-address`."""
_WEIGHT = "X-Load-Balancing-Endpoint-Weight"


@dataclass(frozen=True, slots=True)
class ProxyHealth:
    """How a node's proxy is."""

    healthy: bool
    """The rules that it wrote last are in force."""
    eligible: bool
    """Its node takes new traffic."""


def service_health(check: HealthCheck, count: Callable[[int], int], proxy: Callable[[], bool]) -> Program:
    """Tells on every path whether the node has endpoints: `count` of an IP version, asked each time."""
    return Program((HttpListener(check.port, partial(_service_health, check, count, proxy)),))


def proxy_health(health: Callable[[], ProxyHealth]) -> Program:
    """`/healthz` for load balancers, which should leave a node that goes; `/livez` for who restarts it."""
    return Program((HttpListener(HEALTHZ_PORT, partial(_proxy_health, health)),))


async def _service_health(
    check: HealthCheck, count: Callable[[int], int], proxy: Callable[[], bool], request: Request
) -> Response:
    found, healthy = count(ip_address(request.client.address).version), proxy()
    body = {
        "service": {"namespace": check.namespace, "name": check.service},
        "localEndpoints": found,
        "serviceProxyHealthy": healthy,
    }
    return _json(found > 0 and healthy, json.dumps(body, indent="\t"), {_WEIGHT: str(found)})


async def _proxy_health(health: Callable[[], ProxyHealth], request: Request) -> Response:
    if request.path not in ("/healthz", "/livez"):
        return Response("404 page not found\n", HTTPStatus.NOT_FOUND)
    known, now = health(), str(datetime.now(UTC))
    body: dict[str, object] = {"lastUpdated": now, "currentTime": now}
    if request.path == "/livez":
        return _json(known.healthy, json.dumps(body))
    return _json(known.healthy and known.eligible, json.dumps({**body, "nodeEligible": known.eligible}))


def _json(fine: object, body: str, headers: dict[str, str] | None = None) -> Response:
    status = HTTPStatus.OK if fine else HTTPStatus.SERVICE_UNAVAILABLE
    return Response(
        body, status, "application/json", {"X-Content-Type-Options": "nosniff", **(headers or {})}
    )

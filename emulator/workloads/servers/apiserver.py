"""The API server as pods find it: over TLS, open to strangers only for what Kubernetes tells everybody.

Pods have no credentials here, and a stranger may read its version and whether it is well
(`system:public-info-viewer`); everything else is forbidden to `system:anonymous`. The objects themselves
are served on the run's Unix socket.
"""

from __future__ import annotations

import json
import ssl
from functools import partial

from emulator.api.objects import JsonObject
from emulator.workloads.servers.program import HttpListener, Program, Request, Response

_JSON = "application/json"
_HEALTH = frozenset({"/healthz", "/livez", "/readyz"})


def api_server(port: int, version: JsonObject, tls: ssl.SSLContext) -> Program:
    """What listens on `port` of a node of the control plane."""
    return Program((HttpListener(port, partial(_answer, version), tls=tls),))


async def _answer(version: JsonObject, request: Request) -> Response:
    if request.method in ("GET", "HEAD"):
        if request.path in _HEALTH:
            return Response("ok")
        if request.path == "/version":
            return Response(json.dumps(version, indent=2), content_type=_JSON)
    verb = request.method.lower()
    why = f'forbidden: User "system:anonymous" cannot {verb} path "{request.path}"'
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": why,
        "reason": "Forbidden",
        "details": {},
        "code": 403,
    }
    return Response(json.dumps(status, indent=2), 403, _JSON)

"""Annotations of real controllers: the few that are obeyed, and those that are not, so that they can be told.

Published examples carry `rewrite-target` above all. Its form with capture groups needs regular expressions in
paths, which the proxy does not have.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from emulator.api.objects import JsonObject

_NGINX = "nginx.ingress.kubernetes.io/"
_REWRITE = f"{_NGINX}rewrite-target"
_REDIRECTS = (f"{_NGINX}ssl-redirect", f"{_NGINX}force-ssl-redirect")
_FOREIGN = re.compile(
    r"([\w-]+\.)*(ingress\.kubernetes\.io|haproxy\.org|haproxy-ingress\.github\.io|nginx\.(org|com)"
    r"|cert-manager\.io)/.*"
)
_PLAIN_PATH = re.compile(r"/[\w./~-]*")


@dataclass(frozen=True, slots=True)
class Handling:
    """What an Ingress wants done with its requests besides routing them."""

    path: str = ""
    """The path that backends are asked for, whatever the client asked for; empty leaves it."""
    only_https: bool = False
    """Clients that come over HTTP are sent to HTTPS."""
    ignored: tuple[str, ...] = ()
    """Names of annotations that are for some controller and have no effect here."""


def handling_of(ingress: JsonObject) -> Handling:
    """What the annotations of an Ingress ask for."""
    annotations: Mapping[str, str] = ingress["metadata"].get("annotations") or {}
    path = annotations.get(_REWRITE, "")
    rewrites = _PLAIN_PATH.fullmatch(path) is not None
    obeyed = {*_REDIRECTS, *([_REWRITE] if rewrites else [])}
    return Handling(
        path if rewrites else "",
        any(annotations.get(name) == "true" for name in _REDIRECTS),
        tuple(sorted(name for name in annotations if name not in obeyed and _FOREIGN.fullmatch(name))),
    )

"""What nginx's stand-in obeys of a configuration that is mounted into its container: where to listen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from emulator.workloads.servers.program import Context

_PLACES = ("/etc/nginx/nginx.conf", "/etc/nginx/conf.d/default.conf", "/etc/nginx/conf.d")
_COMMENT = re.compile(r"#.*")
_LISTEN = re.compile(r"\blisten\s+(?:[^\s;]*:)?(\d+)[\s;]")
"""`listen 80;`, `listen [::]:80 default_server;`; not `listen unix:/run/nginx.sock;`"""


def configured_ports(context: Context) -> tuple[int, ...]:
    """The ports of all `listen` directives, once each; empty when no configuration is mounted."""
    texts = (path.read_text(errors="replace") for path in _mounted(context))
    found = (int(port) for text in texts for port in _LISTEN.findall(_COMMENT.sub("", text)))
    return tuple(dict.fromkeys(found))


def _mounted(context: Context) -> Iterator[Path]:
    for place in _PLACES:
        path = context.locate(place)
        if path is not None and path.is_dir():
            yield from sorted(one for one in path.glob("*.conf") if one.is_file())
        elif path is not None and path.is_file():
            yield path

"""Writes docs/images.md from the table of images.

`python -m emulator.workloads.catalogue` prints the page; a test holds the committed one to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from emulator.workloads.images import IMAGES, Proxy, Server, Tools

_INTRODUCTION = """# Images

*Generated from `emulator/workloads/images.py` by `python -m emulator.workloads.catalogue`; a test keeps it
current.*

No image is ever pulled. The *name* of an image, whatever its registry, tag or digest, decides what runs:

- a **server** of the first table is played: it listens on the real port in the pod's own network, writes a
  log, takes `args`, and answers as far as the network can tell;
- an image of **tools** runs its command with this machine's programs;
- any **other** image serves HTTP on its TCP ports and an echo on its UDP and SCTP ports. It answers with its
  pod, namespace, node, container and the client address that it sees. Its ports are those that the manifest
  declares, else those that the published image is known to expose, else those that its probes and the
  Services that select it ask for.

A `command` is a real process, unless it names a program of the first table (`redis-server --port 7000`):
then that server is played, also when a shell script starts it. Where this machine has no such program, an
image of the tables fails with *command not found*, as in life; for an image of no table the stand-in
answers instead and says so, also when it is the script of `node server.js` or `python app.py` that is
missing. Package managers (`apk add curl && ...`) succeed and install nothing.

A container sees this machine's programs read-only, a root file system, `/tmp` and process list of its own,
and the files of its volumes. Document roots of web servers can be written: `index.html` can be changed.

"""


def page() -> str:
    """The page: servers, then tools."""
    return _INTRODUCTION + "\n".join([*_servers(), "", *_tools()]) + "\n"


def _servers() -> Iterator[str]:
    yield from ("## Servers", "", "| image | what it does | programs |", "|---|---|---|")
    for names, image in _grouped():
        if isinstance(image, Server):
            text = (
                inspect.getdoc(image.program) or "takes connections on its usual port and says nothing first"
            )
            summary = " ".join(text.partition("\n\n")[0].split())
            programs = ", ".join(f"`{name}`" for name in sorted(image.executables))
            yield f"| {names} | {summary} | {programs} |"


def _tools() -> Iterator[str]:
    yield from ("## Tools", "", "| image | without a command it runs | applets |", "|---|---|---|")
    for names, image in _grouped():
        if isinstance(image, Proxy):
            yield f"| {names} | `haproxy`, configured from the Ingresses of its class | |"
        if isinstance(image, Tools):
            words = " ".join((*image.entrypoint, *image.default))
            applets = "busybox first in PATH" if image.busybox else ""
            yield f"| {names} | `{words}` | {applets} |"


def _grouped() -> Iterator[tuple[str, Server | Tools | Proxy]]:
    """Every entry once, with all names of images that run the same."""
    images: dict[object, Server | Tools | Proxy] = {}
    names: dict[object, list[str]] = {}
    for name, image in IMAGES.items():
        same: object = image.program if isinstance(image, Server) else image
        images.setdefault(same, image)
        names.setdefault(same, []).append(f"`{name}`")
    for same, image in images.items():
        yield ", ".join(names[same]), image


if __name__ == "__main__":
    print(page(), end="")

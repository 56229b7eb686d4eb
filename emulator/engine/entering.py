"""Commands in places that are no pods: nodes, hosts outside, routers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from emulator.cluster.places import MACHINES, Place
from emulator.cluster.wiring import Wiring
from emulator.engine.birds import birds
from emulator.network.bird import SOCKETS
from emulator.network.names import netns_path

_WITH_SOCKET = 'mkdir -p "$1" && mount --bind "$0" "$1" && shift && exec "$@"'
"""Puts a BIRD's files where birdc looks for them, in a mount namespace of the command's own."""


def place_argv(wiring: Wiring, run_dir: Path, place: Place, command: Sequence[str]) -> list[str]:
    """What, run in the sandbox, runs `command` in the namespace of a node, a host outside or a router.

    In a place that speaks BGP, birdc finds its BIRD. Raises LookupError when there is no such place.
    """
    known = [
        *(f"node/{node.name}" for node in wiring.nodes),
        *(f"ext/{host.name}" for host in wiring.external),
        *(router.place for router in wiring.routers),
    ]
    if place.kind not in MACHINES or str(place) not in known:
        raise LookupError(f"no command can run in {place}; there are {', '.join(known)}")
    enter = ["nsenter", f"--net={netns_path(str(place))}", "--"]
    bird = birds(wiring, run_dir).get(str(place))
    if bird is None:
        return [*enter, *command]
    mounted = ["unshare", "--mount", "sh", "-c", _WITH_SOCKET, str(bird.directory), str(SOCKETS)]
    return [*enter, *mounted, *command]

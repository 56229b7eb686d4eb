"""For the service that serves the cluster's REST front: the sockets that it inherits."""

from __future__ import annotations

import os
import socket

VARIABLE = "MININETES_LISTENERS"
"""Environment variable with the descriptors of the listening sockets, joined by ':'."""


def inherited_listeners() -> tuple[socket.socket, ...]:
    """The listening Unix sockets of the REST front: one reached from the host, one from inside the sandbox.

    They were bound before this process started and outlive it. Empty when the process was not started by a
    sandbox as a service that `listens`.
    """
    places = os.environ.get(VARIABLE, "")
    return tuple(socket.socket(fileno=int(place)) for place in places.split(":") if place)

"""How a supervised process speaks to its supervisor (the sd_notify protocol)."""

from __future__ import annotations

import os
import socket

NOTIFY_SOCKET = "NOTIFY_SOCKET"
"""Environment variable: the path of the socket of the supervisor; with @ in front an abstract one."""


def notify_ready() -> None:
    """Send `READY=1` to the supervisor, if there is one (sd_notify(3)). Raises OSError."""
    address = os.environ.get(NOTIFY_SOCKET)
    if address:
        if address.startswith("@"):
            address = "\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notifier:
            notifier.sendto(b"READY=1", address)

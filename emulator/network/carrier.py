"""Hears when an interface loses its wire or gets it back."""

from __future__ import annotations

import errno
import socket
from collections.abc import Collection, Mapping

from emulator.network.netlink import Netlink, messages
from emulator.network.rtnl import RTM_DELLINK, RTM_NEWLINK, link_state, links

_RTMGRP_LINK = 1
_ROOM = 1 << 20
_RECEIVE = 1 << 17


class CarrierWatch:
    """Watches interfaces of the netns that the calling thread is in, by their names.

    `carriers` says which of them are up and have a wire; one that does not exist has none.
    """

    def __init__(self, names: Collection[str]) -> None:
        kind = socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK
        self._socket = socket.socket(socket.AF_NETLINK, kind, socket.NETLINK_ROUTE)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _ROOM)
        self._socket.bind((0, _RTMGRP_LINK))
        self._names = frozenset(names)
        self._up: dict[str, bool] = {}
        self._look()

    @property
    def carriers(self) -> Mapping[str, bool]:
        """As far as `read` has heard."""
        return self._up

    def fileno(self) -> int:
        """Readable when there is news."""
        return self._socket.fileno()

    def read(self) -> None:
        """Take in what has happened, without waiting for more."""
        while True:
            try:
                data = self._socket.recv(_RECEIVE)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._look()  # news were lost: see for ourselves
                continue
            for kind, body in messages(data):
                if kind in (RTM_NEWLINK, RTM_DELLINK):
                    state = link_state(body)
                    if state.name in self._names:
                        self._up[state.name] = state.running and kind == RTM_NEWLINK

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()

    def _look(self) -> None:
        with Netlink() as netlink:
            found = links(netlink)
        self._up = {name: name in found and found[name].running for name in self._names}

"""What the captures of a sweep have seen, by probe and by place."""

from __future__ import annotations

import socket
from collections import Counter
from dataclasses import dataclass, field

from emulator.probes.glimpse import Glimpse, Sort
from emulator.probes.swept import Ask, End, Transport


@dataclass(slots=True)
class Shot:
    """A probe under way."""

    ask: Ask
    address: str
    token: bytes
    sock: socket.socket | None = None
    port: int = 0
    left: bool = False
    answered: bool = False
    refused: bool = False
    failed: str = ""
    passed: bool = False


@dataclass(slots=True)
class Watch:
    """What the capture at one end has seen."""

    end: End
    tap: socket.socket
    proven: bool = False
    lost: int = 0
    """Packets that came and were not seen: the queue was full."""
    arrived: set[tuple[int, object]] = field(default_factory=set)
    echoes: set[object] = field(default_factory=set)
    arp: Counter[tuple[Sort, bytes]] = field(default_factory=Counter)
    shots: dict[tuple[int, int, tuple[bytes, int]], Shot] = field(default_factory=dict)
    """Probes from here, by protocol, source port and where they go."""

    @property
    def sees_all(self) -> bool:
        """Whether what it has not seen was not there."""
        return self.proven and not self.lost


def note(watch: Watch, seen: Glimpse, *, is_outgoing: bool) -> None:
    """Book what a capture saw. What a place sends to itself leaves and comes by its loopback."""
    shot = watch.shots.get((seen.protocol, seen.port, seen.remote))
    match seen.sort:
        case Sort.OPENING if is_outgoing:
            if shot is not None:
                if shot.ask.transport is Transport.TCP and isinstance(seen.token, bytes):
                    shot.token = seen.token
                shot.left = True
        case Sort.OPENING:
            watch.arrived.add((seen.protocol, seen.token))
        case Sort.ANSWER | Sort.DELIVERED:
            if shot is not None and not is_outgoing:
                shot.answered = True
        case Sort.ABORT | Sort.ICMP_ERROR:
            if shot is not None and not is_outgoing:
                shot.refused = True
        case Sort.ECHO if not is_outgoing:
            watch.echoes.add(seen.token)
        case Sort.ARP_REQUEST if is_outgoing:
            watch.arp[seen.sort, seen.peer] += 1
        case Sort.ARP_REPLY if not is_outgoing:
            watch.arp[seen.sort, seen.peer] += 1

"""Choosing from a range the way Kubernetes does: at random, from the upper band first.

People who pick numbers by hand are told to keep to the lower band (KEP-3070, KEP-3668).
"""

from __future__ import annotations

import hashlib
from collections.abc import Container
from dataclasses import dataclass
from ipaddress import ip_address

from emulator.cluster.wiring import IPAddress, IPNetwork

FIRST_NODE_PORT, LAST_NODE_PORT = 30_000, 32_767


def band_offset(size: int, least: int, divisor: int, most: int) -> int:
    """How many of a range's `size` numbers are its lower band; none where that would be most of them."""
    if size <= least:
        return 0
    return min(max(least, size // divisor), most)


@dataclass(frozen=True, slots=True)
class Band:
    """The numbers `first` to `last`; those before `dynamic` are left to people as long as possible."""

    first: int
    dynamic: int
    last: int

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.first <= number <= self.last

    def choose(self, taken: Container[int], seed: object) -> int | None:
        """A free number; which one follows from `seed`. None when all are taken."""
        for low, high in ((self.dynamic, self.last), (self.first, self.dynamic - 1)):
            size = high - low + 1
            if size <= 0:
                continue
            digest = hashlib.sha256(repr(seed).encode()).digest()
            start = int.from_bytes(digest[:8], "big") % size
            for step in range(min(size, 1 << 20)):
                number = low + (start + step) % size
                if number not in taken:
                    return number
        return None


NODE_PORTS = Band(
    FIRST_NODE_PORT,
    FIRST_NODE_PORT + band_offset(LAST_NODE_PORT - FIRST_NODE_PORT, 16, 32, 128),
    LAST_NODE_PORT,
)


def address_band(network: IPNetwork) -> Band:
    """The addresses of a service range that can be given out, as numbers. IPv6 gives its first 2**16 only."""
    first = int(network.network_address) + 1
    last = int(network.broadcast_address) - (1 if network.version == 4 else 0)
    last = min(last, first + (1 << 16) - 1) if network.version == 6 else last
    offset = band_offset(last - first + 1, 16, 16, 256)
    return Band(first, first + offset, last)


def address(number: int, version: int) -> IPAddress:
    """The address that a band's number stands for."""
    return ip_address(number.to_bytes(4 if version == 4 else 16, "big"))

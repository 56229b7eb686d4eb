"""Which UDP sockets a network namespace has."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from emulator.probes.request import IPAddress

_TABLES = ("/proc/thread-self/net/udp", "/proc/thread-self/net/udp6")


def listens_on(address: str, port: int) -> bool:
    """Whether the calling thread's network namespace has a UDP socket that takes `address`:`port`."""
    wanted = ip_address(address)
    for table in _TABLES:
        path = Path(table)
        text = path.read_text(encoding="ascii") if path.exists() else ""
        if any(number == port and takes(bound, wanted) for bound, number in parse(text)):
            return True
    return False


def parse(table: str) -> Iterator[tuple[IPAddress, int]]:
    """Local address and port of each socket in the text of `/proc/net/udp` or `udp6`."""
    for line in table.splitlines()[1:]:
        local = line.split()[1]
        digits, _, port = local.partition(":")
        words = [bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8)]
        raw = b"".join(words)
        yield (IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)), int(port, 16)


def takes(bound: IPAddress, wanted: IPAddress) -> bool:
    """Whether a socket bound to `bound` receives what is sent to `wanted`; `::` takes both families."""
    if isinstance(bound, IPv6Address) and bound.ipv4_mapped is not None:
        bound = bound.ipv4_mapped
    if bound.is_unspecified:
        return bound.version == 6 or wanted.version == 4
    return bound == wanted

"""Which sockets of a network namespace take what comes: UDP's, and TCP's that listen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

from emulator.probes.request import IPAddress

_TABLES = ("/proc/thread-self/net/udp", "/proc/thread-self/net/udp6")
_LISTENING = {"tcp": "0A", "udp": "07"}
"""The state of a socket that has no peer (include/net/tcp_states.h)."""


@dataclass(frozen=True, slots=True, order=True)
class Listener:
    """A socket that waits for whoever comes."""

    protocol: str
    """`tcp` or `udp`."""
    address: IPAddress
    """The one that it is bound to; `0.0.0.0` and `::` are all of the place."""
    port: int

    def __str__(self) -> str:
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}/{self.protocol}"

    def hears(self, wanted: IPAddress, port: int, protocol: str) -> bool:
        """Whether it receives what is sent there."""
        return (self.port, self.protocol) == (port, protocol) and takes(self.address, wanted)


def listeners() -> tuple[Listener, ...]:
    """Those of the calling thread's network namespace."""
    found = {
        Listener(protocol, address, port)
        for protocol, state in _LISTENING.items()
        for table in (protocol, f"{protocol}6")
        for address, port in parse(_text(table), state)
    }
    return tuple(sorted(found, key=lambda one: (one.protocol, one.port, one.address.version, one.address)))


def _text(table: str) -> str:
    path = Path(f"/proc/thread-self/net/{table}")
    return path.read_text(encoding="ascii") if path.exists() else ""


def listens_on(address: str, port: int) -> bool:
    """Whether the calling thread's network namespace has a UDP socket that takes `address`:`port`."""
    wanted = ip_address(address)
    for table in _TABLES:
        path = Path(table)
        text = path.read_text(encoding="ascii") if path.exists() else ""
        if any(number == port and takes(bound, wanted) for bound, number in parse(text)):
            return True
    return False


def parse(table: str, state: str = "") -> Iterator[tuple[IPAddress, int]]:
    """Local address and port of each socket (in that state) in the text of `/proc/net/udp` and its like."""
    for line in table.splitlines()[1:]:
        words = line.split()
        if state and words[3] != state:
            continue
        local = words[1]
        digits, _, port = local.partition(":")
        raw = b"".join(bytes.fromhex(digits[at : at + 8])[::-1] for at in range(0, len(digits), 8))
        yield (IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)), int(port, 16)


def takes(bound: IPAddress, wanted: IPAddress) -> bool:
    """Whether a socket bound to `bound` receives what is sent to `wanted`; `::` takes both families."""
    if isinstance(bound, IPv6Address) and bound.ipv4_mapped is not None:
        bound = bound.ipv4_mapped
    if bound.is_unspecified:
        return bound.version == 6 or wanted.version == 4
    return bound == wanted

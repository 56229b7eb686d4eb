"""What a place knows about names: its resolv.conf and its hosts file, read as the C library does."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address

from emulator.cluster.wiring import IPAddress

_MOST_NAMESERVERS = 3
_MOST_NDOTS = 15


@dataclass(frozen=True, slots=True)
class Resolver:
    """Settings of a stub resolver (resolv.conf(5)), and the names that need no question."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    ndots: int = 1
    seconds: float = 5.0
    """For which one server is waited for."""
    attempts: int = 2
    over_tcp: bool = False
    """The option `use-vc`."""
    hosts: tuple[tuple[str, IPAddress], ...] = ()
    """Names of the hosts file, in lower case, with their addresses."""

    def candidates(self, name: str) -> Iterator[str]:
        """The absolute names that are tried for `name`, in order.

        A name with `ndots` dots goes first as it is, any other last; one that ends with a dot is absolute.
        """
        if name.endswith("."):
            yield name
            return
        absolute = f"{name}."
        listed = [f"{name}.{search.strip('.')}." for search in self.searches if search.strip(".")]
        first = name.count(".") >= self.ndots
        yield from (absolute, *listed) if first else (*listed, absolute)

    def known(self, name: str) -> tuple[IPAddress, ...]:
        """The addresses that the hosts file has for a name."""
        wanted = name.lower().rstrip(".")
        return tuple(dict.fromkeys(address for known, address in self.hosts if known == wanted))


def read_resolver(resolv_conf: str, hosts: str = "") -> Resolver:
    """The settings in the text of these files; lines that make no sense are passed over, as there."""
    nameservers: list[str] = []
    searches: tuple[str, ...] = ()
    options: dict[str, str] = {}
    for word, *words in _lines(resolv_conf):
        match word:
            case "nameserver" if words:
                nameservers.append(words[0])
            case "search" | "domain":
                searches = tuple(words)
            case "options":
                options |= {name: value for name, _, value in (option.partition(":") for option in words)}
    return Resolver(
        tuple(nameservers[:_MOST_NAMESERVERS]),
        searches,
        min(_number(options.get("ndots"), 1), _MOST_NDOTS),
        float(_number(options.get("timeout"), 5)),
        max(1, _number(options.get("attempts"), 2)),
        "use-vc" in options,
        tuple(_hosts(hosts)),
    )


def _hosts(text: str) -> Iterator[tuple[str, IPAddress]]:
    for address, *known in _lines(text):
        try:
            parsed = ip_address(address)
        except ValueError:
            continue
        yield from ((name.lower(), parsed) for name in known)


def _lines(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words:
            yield words


def _number(text: str | None, usual: int) -> int:
    return int(text) if text is not None and text.isdecimal() else usual

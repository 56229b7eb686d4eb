"""The names of the emulated internet: those of the hosts outside the cluster.

Each is called by its own name below `example.com`, and as the topology says besides; `ext/server` also
`example.com` and `www.example.com`, unless another host is called so. Nothing else exists out there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from emulator.cluster.dns.model import Answer, Question, Rcode, Record
from emulator.cluster.dns.records import address_of_reverse, is_within
from emulator.cluster.wiring import ExternalHost, IPAddress

DOMAIN = "example.com."
TTL = 300
_WEB_SERVER = "server"
_WEB_NAMES = (DOMAIN, f"www.{DOMAIN}")


@dataclass(frozen=True, slots=True)
class InternetNames:
    """What the internet's resolver knows."""

    addresses: Mapping[str, tuple[IPAddress, ...]]
    """By absolute name, in lower case."""
    owners: Mapping[IPAddress, str]
    """The name of whoever has an address."""

    @classmethod
    def of(cls, hosts: Iterable[ExternalHost]) -> InternetNames:
        """The names of these hosts."""
        own = {host.name: tuple(interface.ip for interface in host.addresses) for host in hosts}
        found = dict.fromkeys(_WEB_NAMES, own[_WEB_SERVER]) if _WEB_SERVER in own else {}
        found |= {f"{name}.{DOMAIN}": addresses for name, addresses in own.items()}
        found |= {f"{name}.": own[host.name] for host in hosts for name in host.names}
        owners = {address: f"{name}.{DOMAIN}" for name, addresses in own.items() for address in addresses}
        return cls(found, owners)


def internet_answer(names: InternetNames, question: Question) -> Answer:
    """What the internet's resolver says."""
    if question.type in ("AXFR", "IXFR"):
        return Answer(Rcode.REFUSED)
    found = tuple(_records(names, question))
    records = tuple(record for record in found if record.type == question.type)
    if records:
        return Answer(records=records)
    rcode = Rcode.NOERROR if found else Rcode.NXDOMAIN
    return Answer(rcode, authority=(_soa(DOMAIN if is_within(question.lower, DOMAIN) else "."),))


def _records(names: InternetNames, question: Question) -> Iterator[Record]:
    """Everything that there is of the name that is asked for."""
    if question.lower == DOMAIN:
        yield _soa(DOMAIN)
    for address in names.addresses.get(question.lower, ()):
        yield Record(question.name, "A" if address.version == 4 else "AAAA", str(address), TTL)
    asked = address_of_reverse(question.lower)
    if asked is not None and asked in names.owners:
        yield Record(question.name, "PTR", names.owners[asked], TTL)


def _soa(zone: str) -> Record:
    return Record(zone, "SOA", f"dns.{DOMAIN} hostmaster.{DOMAIN} 1 7200 1800 86400 {TTL}", TTL)

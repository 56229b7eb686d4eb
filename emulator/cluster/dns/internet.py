"""The names of the emulated internet: those of the hosts outside the cluster, below `example.com`.

Nothing else exists out there. `example.com` and `www.example.com` are what `ext/server` is called besides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from emulator.cluster.dns.model import Answer, Question, Rcode, Record
from emulator.cluster.dns.records import address_of_reverse, is_within
from emulator.cluster.wiring import IPAddress

DOMAIN = "example.com."
TTL = 300
_WEB_SERVER = "server"
_WEB_NAMES = (DOMAIN, f"www.{DOMAIN}")

Hosts = Mapping[str, Sequence[IPAddress]]
"""The addresses of each host outside, by the name that its place has behind `ext/`."""


def internet_answer(hosts: Hosts, question: Question) -> Answer:
    """What the internet's resolver says."""
    if question.type in ("AXFR", "IXFR"):
        return Answer(Rcode.REFUSED)
    found = tuple(_records(hosts, question))
    records = tuple(record for record in found if record.type in (question.type, "CNAME"))
    if records:
        return Answer(records=records)
    rcode = Rcode.NOERROR if found else Rcode.NXDOMAIN
    return Answer(rcode, authority=(_soa(DOMAIN if is_within(question.lower, DOMAIN) else "."),))


def _records(hosts: Hosts, question: Question) -> Iterator[Record]:
    """Everything that there is of the name that is asked for."""
    name = question.lower
    if name == DOMAIN:
        yield _soa(DOMAIN)
    host = _WEB_SERVER if name in _WEB_NAMES else name.removesuffix(f".{DOMAIN}")
    if name.endswith(DOMAIN):
        for address in hosts.get(host, ()):
            kind = "A" if address.version == 4 else "AAAA"
            yield Record(question.name, kind, str(address), TTL)
    asked = address_of_reverse(name)
    for owner, addresses in hosts.items():
        if asked in addresses:
            yield Record(question.name, "PTR", f"{owner}.{DOMAIN}", TTL)


def _soa(zone: str) -> Record:
    return Record(zone, "SOA", f"dns.{DOMAIN} hostmaster.{DOMAIN} 1 7200 1800 86400 {TTL}", TTL)

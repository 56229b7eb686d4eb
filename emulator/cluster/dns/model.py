"""Questions and answers of the DNS as values. Names are absolute, with their last dot."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum


class Rcode(StrEnum):
    """How a question ended (RFC 1035, section 4.1.1)."""

    NOERROR = "NOERROR"
    FORMERR = "FORMERR"
    SERVFAIL = "SERVFAIL"
    NXDOMAIN = "NXDOMAIN"
    NOTIMP = "NOTIMP"
    REFUSED = "REFUSED"


class PodMode(Enum):
    """Which `a-b-c-d.NS.pod.ZONE` names are answered (CoreDNS' option `pods`)."""

    DISABLED = "disabled"
    INSECURE = "insecure"
    VERIFIED = "verified"


@dataclass(frozen=True, slots=True)
class Question:
    """A name and the type of record that is wanted: `A`, `AAAA`, `SRV`, ..."""

    name: str
    """In the case in which it was asked."""
    type: str

    @property
    def lower(self) -> str:
        """The name as it is compared."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Record:
    """One resource record; the data in the form of zone files. The time to live is in seconds."""

    name: str
    type: str
    data: str
    ttl: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What is answered to one question."""

    rcode: Rcode = Rcode.NOERROR
    records: tuple[Record, ...] = ()
    authority: tuple[Record, ...] = ()
    additional: tuple[Record, ...] = ()
    chase: str = ""
    """A name outside the zone, to which the last CNAME leads: whoever can ask elsewhere adds its records."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a server serves a cluster's names; the defaults are CoreDNS' own."""

    domain: str = "cluster.local."
    pods: PodMode = PodMode.DISABLED
    ttl: int = 5
    endpoint_pod_names: bool = False
    reverse: tuple[str, ...] = ()
    """Reverse zones that are served as well, as `in-addr.arpa.`."""
    service: tuple[str, str] = ("kube-system", "kube-dns")
    """Namespace and name of the Service in front of the servers."""

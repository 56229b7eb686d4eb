"""What the DNS of a cluster answers: from objects and a question to records.

By the DNS specification of Kubernetes, schema 1.1.0, and where that leaves something open by CoreDNS'
plugin `kubernetes`, whose errors and corners are kept: whether a name is NXDOMAIN or merely has no record
of a type is what resolvers, and people who look for mistakes, go by.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address

from emulator.api.objects import JsonObject
from emulator.cluster.dns.model import Answer, PodMode, Question, Rcode, Record, Settings
from emulator.cluster.dns.view import NO_PORT, Backend, Port, ServiceName, View, ports_of
from emulator.cluster.state import cluster_ips
from emulator.cluster.wiring import IPAddress

SCHEMA = "1.1.0"
SCHEMA_TTL = 28_800
_SERVICES, _PODS = "svc", "pod"
_LONGEST_CHAIN = 8
_REFUSED = frozenset({"AXFR", "IXFR"})
_IPV4, _IPV6 = "in-addr.arpa.", "ip6.arpa."


class _NoSuchNameError(LookupError):
    """There is nothing of that name, of whatever type."""


@dataclass(frozen=True, slots=True)
class _Item:
    """Something that a name stands for: an address with a port, or another name."""

    owner: str
    """The name of its own that SRV records lead to."""
    address: IPAddress | None = None
    port: int = NO_PORT
    alias: str = ""


@dataclass(frozen=True, slots=True)
class _Request:
    """A name, taken apart."""

    tree: str = ""
    """`svc`, `pod`, or empty for the zone itself."""
    namespace: str = ""
    name: str = ""
    """The service, or the dashed address of a pod."""
    endpoint: str = ""
    port: str = ""
    protocol: str = ""


def zone_of(name: str, zones: Sequence[str]) -> str | None:
    """The longest of `zones` that a name lies in. Names and zones end with a dot."""
    inside = [zone for zone in zones if is_within(name, zone)]
    return max(inside, key=len, default=None)


def is_within(name: str, zone: str) -> bool:
    """Whether a name is `zone` or below it, whatever their case."""
    name, zone = name.lower(), zone.lower()
    return zone == "." or name == zone or name.endswith(f".{zone}")


def answer(view: View, settings: Settings, question: Question, serial: int = 1) -> Answer:
    """Answer a question about a name in one of the cluster's zones (`settings.domain`, `.reverse`).

    `serial` is that of the zone's SOA record.
    """
    zone = zone_of(question.name, (settings.domain, *settings.reverse)) or settings.domain
    server = _Zone(view, settings, zone, serial)
    if question.type in _REFUSED:
        return Answer(Rcode.REFUSED)
    try:
        found = server.look_up(question)
    except _NoSuchNameError:
        return Answer(Rcode.NXDOMAIN, authority=(server.soa(),))
    if found.records or found.chase:
        return found
    return replace(found, authority=(server.soa(),))


@dataclass(frozen=True, slots=True)
class _Zone:
    """One zone of the cluster."""

    view: View
    settings: Settings
    zone: str
    serial: int

    def look_up(self, question: Question) -> Answer:
        """The records of a question's type; none where the name has others. Raises _NoSuchNameError."""
        is_apex = question.lower == self.zone
        match question.type:
            case "A" | "AAAA":
                return self._addresses(question)
            case "CNAME":
                return Answer(records=tuple(self._cname(question)))
            case "SRV":
                return self._srv(question)
            case "PTR":
                return Answer(records=tuple(self._ptr(question)))
            case "TXT" if question.lower == f"dns-version.{self.zone}":
                return Answer(records=(Record(question.name, "TXT", f'"{SCHEMA}"', SCHEMA_TTL),))
            case "SOA" if is_apex:
                return Answer(records=(replace(self.soa(), name=question.name),))
            case "NS" if is_apex:
                return self._ns(question)
        self._items(question.lower)
        return Answer()

    def soa(self) -> Record:
        """The record that says who answers for the zone, and how long a *no* may be remembered."""
        ttl = self.settings.ttl
        data = f"ns.dns.{self.zone} hostmaster.{self.zone} {self.serial} 7200 1800 86400 {ttl}"
        return Record(self.zone, "SOA", data, ttl)

    # -- by type of record

    def _addresses(self, question: Question, chain: tuple[str, ...] = ()) -> Answer:
        version = 4 if question.type == "A" else 6
        records: dict[Record, None] = {}
        for item in self._items(question.lower):
            if item.alias:
                return self._follow(question, item.alias, chain)
            if item.address is not None and item.address.version == version:
                records[self._address(question.name, item.address)] = None
        return Answer(records=tuple(records))

    def _follow(self, question: Question, alias: str, chain: tuple[str, ...]) -> Answer:
        """A CNAME with what it leads to; one that leads to no record of the zone is not told."""
        cname = Record(question.name, "CNAME", alias, self.settings.ttl)
        if alias in (question.lower, *chain) or len(chain) >= _LONGEST_CHAIN:
            return Answer()
        if not is_within(alias, self.zone):
            return Answer(records=(cname,), chase=alias)
        try:
            rest = self._addresses(replace(question, name=alias), (*chain, question.lower))
        except _NoSuchNameError:
            return Answer()
        return replace(rest, records=(cname, *rest.records)) if rest.records else Answer()

    def _cname(self, question: Question) -> Iterator[Record]:
        for item in self._items(question.lower):
            if item.alias:
                yield Record(question.name, "CNAME", item.alias, self.settings.ttl)

    def _srv(self, question: Question) -> Answer:
        items = [item for item in self._items(question.lower) if item.address is not None]
        weight = max(1, 100 // len(items)) if items else 0
        records: dict[Record, None] = {}
        additional: dict[Record, None] = {}
        for item in items:
            if item.port != NO_PORT and item.address is not None:
                data = f"0 {weight} {item.port} {item.owner}"
                records[Record(question.name, "SRV", data, self.settings.ttl)] = None
                additional[self._address(item.owner, item.address)] = None
        return Answer(records=tuple(records), additional=tuple(additional))

    def _ptr(self, question: Question) -> Iterator[Record]:
        address = address_of_reverse(question.lower)
        if address is None:
            self._items(question.lower)
            return
        service = self.view.service_at(address)
        names = [self._service_name(service)] if service else []
        names = names or [self._endpoint_name(*found) for found in self.view.backends_at(address)]
        if not names:
            raise _NoSuchNameError
        for name in dict.fromkeys(names):
            yield Record(question.name, "PTR", name, self.settings.ttl)

    def _ns(self, question: Question) -> Answer:
        """The Service in front of the servers, with its addresses; without one, `ns.dns` of the zone."""
        target, addresses = self._name_server()
        record = Record(question.name, "NS", target, self.settings.ttl)
        glue = tuple(self._address(target, address) for address in addresses)
        return Answer(records=(record,), additional=glue)

    def _name_server(self) -> tuple[str, tuple[IPAddress, ...]]:
        service = self.view.service(*self.settings.service)
        if service is None:
            return f"ns.dns.{self.zone}", ()
        found = cluster_ips(service) or tuple(b.address for b in self.view.backends(*self.settings.service))
        return self._service_name(self.settings.service), found

    def _address(self, name: str, address: IPAddress) -> Record:
        return Record(name, "A" if address.version == 4 else "AAAA", str(address), self.settings.ttl)

    # -- what a name stands for

    def _items(self, name: str) -> Sequence[_Item]:
        """What a name stands for; nothing for one that only has others below it. Raises _NoSuchNameError."""
        if name == f"ns.dns.{self.zone}":
            return [_Item(name, address) for address in self._name_server()[1]]
        request = _parse(name, self.zone)
        if not request.namespace:
            return ()
        if not self.view.has_namespace(request.namespace):
            raise _NoSuchNameError
        if request.tree == _PODS:
            return self._pod(name, request)
        if not request.name:
            return ()
        items = tuple(self._service(request))
        if not items:
            raise _NoSuchNameError
        return items

    def _pod(self, name: str, request: _Request) -> Sequence[_Item]:
        if self.settings.pods is PodMode.DISABLED:
            raise _NoSuchNameError
        if not request.name:
            return ()
        address = _undashed(request.name)
        verified = self.settings.pods is PodMode.VERIFIED
        if address is None or (verified and not self.view.has_pod(request.namespace, address)):
            raise _NoSuchNameError
        return (_Item(name, address),)

    def _service(self, request: _Request) -> Iterator[_Item]:
        service = self.view.service(request.namespace, request.name)
        if service is None:
            return
        name: ServiceName = request.namespace, request.name
        if service["spec"].get("type") == "ExternalName":
            yield from self._external_name(service, request)
        elif request.endpoint or service["spec"].get("clusterIP") == "None":
            for backend in self.view.backends(*name):
                if request.endpoint in ("", self._hostname(backend)):
                    owner = self._endpoint_name(name, backend)
                    for port in _matching(backend.ports, request):
                        yield _Item(owner, backend.address, port.number)
        else:
            for port in _matching(ports_of(service["spec"]), request):
                for address in cluster_ips(service):
                    yield _Item(self._service_name(name), address, port.number)

    def _external_name(self, service: JsonObject, request: _Request) -> Iterator[_Item]:
        target = str(service["spec"].get("externalName") or "").rstrip(".").lower()
        below = request.endpoint or request.port or request.protocol
        if target and not below and _literal(target) is None:
            yield _Item("", alias=f"{target}.")

    def _service_name(self, service: ServiceName) -> str:
        namespace, name = service
        return f"{name}.{namespace}.{_SERVICES}.{self.settings.domain}"

    def _endpoint_name(self, service: ServiceName, backend: Backend) -> str:
        return f"{self._hostname(backend)}.{self._service_name(service)}"

    def _hostname(self, backend: Backend) -> str:
        """An endpoint's own label: its hostname, else the pod's name where asked for, else its address."""
        if backend.hostname:
            return backend.hostname.lower()
        if self.settings.endpoint_pod_names and 0 < len(backend.pod) < 64:
            return backend.pod
        return dashed(backend.address)


def dashed(address: IPAddress) -> str:
    """An address as one label: `10-244-1-5`, `fd00-10-244-1--5`; none may end with a dash."""
    label = str(address).replace(".", "-").replace(":", "-")
    return f"{label}0" if label.endswith("-") else label


def reverse_name(address: IPAddress) -> str:
    """The name whose PTR record names the owner of an address."""
    return f"{address.reverse_pointer}."


def address_of_reverse(name: str) -> IPAddress | None:
    """The address that a name below `in-addr.arpa.` or `ip6.arpa.` means; None when it is not a whole one."""
    if is_within(name, _IPV4):
        return _literal(".".join(reversed(name.removesuffix(f".{_IPV4}").split("."))))
    if is_within(name, _IPV6):
        digits = "".join(reversed(name.removesuffix(f".{_IPV6}").split(".")))
        groups = ":".join(digits[start : start + 4] for start in range(0, len(digits), 4))
        return _literal(groups) if len(digits) == 32 else None
    return None


def _parse(name: str, zone: str) -> _Request:
    """`[[_port._protocol.|endpoint.]service.]namespace.svc.zone`. Raises _NoSuchNameError for others."""
    labels = name[: -len(zone)].rstrip(".").split(".") if name != zone else []
    if not labels:
        return _Request()
    *rest, tree = labels
    if tree not in (_SERVICES, _PODS) or len(rest) > 4:
        raise _NoSuchNameError
    namespace, service, *more = (*reversed(rest), "", "")
    below = [label for label in more if label]
    request = _Request(tree, namespace, service)
    match below:
        case [endpoint]:
            return replace(request, endpoint=endpoint)
        case [protocol, port]:
            return replace(request, port=port.removeprefix("_"), protocol=protocol.removeprefix("_"))
    return request


def _matching(ports: Sequence[Port], request: _Request) -> Iterator[Port]:
    """The ports that a request names; all when it names none."""
    for port in ports:
        if request.port in ("", port.name.lower()) and request.protocol in ("", port.protocol.lower()):
            yield port


def _undashed(label: str) -> IPAddress | None:
    dots = label.count("-") == 3 and "--" not in label
    return _literal(label.replace("-", "." if dots else ":"))


def _literal(text: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None

"""Probes, as the front receives them: words become places, places become namespaces and addresses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import urlsplit

from emulator.api.errors import ApiError, bad_request
from emulator.api.objects import JsonObject
from emulator.cluster.places import Place, PlaceError, PlaceKind, parse_place, parse_port
from emulator.cluster.pods import is_host_network, node_name, place_of
from emulator.cluster.snapshot import Snapshot, controller_of
from emulator.cluster.state import headless_services, state_of
from emulator.engine.naming import resolver_of
from emulator.engine.plumbing import netns_of
from emulator.engine.specifying import spec_of
from emulator.engine.targets import Directory, UnknownPlaceError
from emulator.network.cables import HOST_INTERFACE
from emulator.network.names import netns_path
from emulator.probes import probe as sender
from emulator.probes.checks import check_of
from emulator.probes.lookups import Lookup, LookupFailedError, look_up
from emulator.probes.request import (
    DEFAULT_TIMEOUT,
    ProbeRequest,
    Protocol,
    RequestError,
    Site,
    Sites,
    Target,
    request_of,
)
from emulator.probes.workshop import Workshop

_SPOKEN = tuple(protocol.value for protocol in Protocol)


@dataclass(frozen=True, slots=True)
class Map:
    """Where everything is, at one moment."""

    directory: Directory
    sites: Sites

    @classmethod
    def of(cls, snapshot: Snapshot) -> Map:
        """Draw the map."""
        directory = Directory(
            state_of(snapshot),
            _workload_pods(snapshot),
            headless_services(snapshot),
            dict(_aliases(snapshot)),
        )
        return cls(directory, Sites(dict(_sites(snapshot))))


async def probe(
    snapshot: Snapshot, body: JsonObject, workshop: Workshop, drawn: Map | None = None
) -> JsonObject:
    """Answer `POST /mininetes/v1/probe`; `drawn` is the snapshot's map, where there is one already.

    Raises ApiError for what makes no sense or does not exist.
    """
    try:
        chart = drawn or Map.of(snapshot)
        checks = [check_of(check) for check in body.get("checks") or ()]
        question = Question.of(snapshot, chart, body)
        asking = sender.probe(question.request(), chart.sites, workshop, checks, question.complete)
        observation = await asking
    except (PlaceError, RequestError, KeyError, TypeError, ValueError) as error:
        raise bad_request(str(error)) from error
    except UnknownPlaceError as error:
        raise ApiError(404, "NotFound", str(error)) from error
    spec = spec_of(chart.directory.state, question.source, observation, body)
    report = observation.as_json(spec)
    for seen in report["seen"]:
        owner = chart.directory.owner(ip_address(seen["source"]))
        if owner:
            seen["sourcePlace"] = owner
    if question.lookups:
        report["lookups"] = [lookup.as_json() for lookup in question.lookups]
    return report


def request_in(snapshot: Snapshot, chart: Map, body: JsonObject) -> ProbeRequest:
    """What the words of a request mean, names aside. Raises PlaceError, RequestError, UnknownPlaceError."""
    return Question.of(snapshot, chart, body).request()


def question_of(snapshot: Snapshot, chart: Map, body: JsonObject) -> Question:
    """What the words of a request ask. Raises PlaceError and UnknownPlaceError."""
    return Question.of(snapshot, chart, body)


@dataclass(slots=True)
class Question:
    """A probe as it is asked for; where its target is a name, what has been found of that."""

    snapshot: Snapshot
    chart: Map
    body: JsonObject
    source: str
    place: Place
    lookups: tuple[Lookup, ...] = ()

    @classmethod
    def of(cls, snapshot: Snapshot, chart: Map, body: JsonObject) -> Question:
        """Read the ends. Raises PlaceError and UnknownPlaceError."""
        namespace = str(body.get("namespace") or "default")
        source = chart.directory.site_of(parse_place(body["from"], namespace))
        return cls(snapshot, chart, body, source, parse_place(body["to"], namespace))

    def request(self) -> ProbeRequest:
        """What to send; for a name, what is known before it is looked up."""
        if self.place.kind is not PlaceKind.NAME:
            return self._request(self.place)
        number, protocol = self._port(self.place)
        target = Target(str(self.place), (), number)
        return ProbeRequest(self.source, target, Protocol(protocol), captures=self._captures())

    async def complete(self, request: ProbeRequest) -> ProbeRequest:
        """Look up the target, if it is a name. Raises LookupFailedError."""
        if self.place.kind is not PlaceKind.NAME:
            return request
        netns = self.chart.sites[self.source].netns
        resolver = resolver_of(self.snapshot, self.source)
        family, patience = self.body.get("family"), float(self.body.get("timeout") or DEFAULT_TIMEOUT)
        try:
            found = await look_up(netns, resolver, self.place.name, family, patience)
        except LookupFailedError as error:
            self.lookups = error.lookups
            raise
        self.lookups = found.lookups
        first = found.addresses[0]
        place = replace(self.place, kind=PlaceKind.ADDRESS, name=str(first))
        whole = self._request(place)
        target = replace(whole.target, name=str(self.place), addresses=found.addresses)
        http = whole.http
        if http is not None and not http.host:
            http = replace(http, host=_authority(self.place.name, target.port))
        return replace(whole, target=target, http=http)

    def _request(self, place: Place) -> ProbeRequest:
        number, protocol = self._port(place)
        if protocol not in _SPOKEN:
            raise RequestError(f"probes speak {', '.join(_SPOKEN)}, not {protocol}")
        resolved = self.chart.directory.resolve(place, number, protocol)
        target = Target(resolved.place, resolved.addresses, resolved.port, resolved.candidates)
        body = {**self.body, "captures": self._captures()}
        return request_of(body, self.source, target, Protocol(protocol))

    def _captures(self) -> tuple[str, ...]:
        asked = self.body.get("captures") or ()
        return tuple(one["at"] if isinstance(one, dict) else str(one) for one in asked)

    def _port(self, place: Place) -> tuple[int | None, str]:
        """The port asked for; without one a Service's only port, the URL's for HTTP, else ICMP echo."""
        if self.body.get("port"):
            asked = parse_port(str(self.body["port"]))
            return asked.number or None, asked.protocol
        if place.port:
            return place.port.number or None, place.port.protocol
        if place.kind is PlaceKind.SERVICE:
            return self.chart.directory.only_port(place)
        url = urlsplit(self.body["http"]) if isinstance(self.body.get("http"), str) else None
        if url is not None:
            return url.port or (443 if url.scheme == "https" else 80), "tcp"
        if self.place.kind is PlaceKind.NAME and place.kind is PlaceKind.ADDRESS:
            return self.chart.directory.only_port_at(ip_address(place.name)) or (None, "icmp")
        return None, "icmp"


def _authority(name: str, port: int | None) -> str:
    """What a browser says in the Host header."""
    bare = name.rstrip(".")
    return bare if port == 80 else f"{bare}:{port}"


def _sites(snapshot: Snapshot) -> Iterator[tuple[str, Site]]:
    wiring = snapshot.wiring
    for pod in snapshot.pods:
        if node_name(pod) or not is_host_network(pod):
            place = place_of(pod)
            yield place, Site(place, netns_of(pod), HOST_INTERFACE)
    for place in (*(f"node/{n.name}" for n in wiring.nodes), *(f"ext/{h.name}" for h in wiring.external)):
        yield place, Site(place, netns_path(place), HOST_INTERFACE)
    for router in wiring.routers:
        yield router.place, Site(router.place, netns_path(router.place))
    for bridge in wiring.bridges:
        for port in bridge.ports:
            yield port.name, Site(port.name, None, port.name)


def _aliases(snapshot: Snapshot) -> Iterator[tuple[tuple[str, str], str]]:
    """ExternalName Services and the names that they stand for."""
    for service in snapshot.all("Service"):
        if service["spec"].get("type") == "ExternalName":
            metadata = service["metadata"]
            yield (metadata["namespace"], metadata["name"]), service["spec"].get("externalName") or ""


def _workload_pods(snapshot: Snapshot) -> dict[str, tuple[str, ...]]:
    """`Deployment/shop/web` → the names of its pods."""
    found: dict[str, list[str]] = {}
    for pod in snapshot.pods:
        metadata = pod["metadata"]
        for owner in _owners(snapshot, pod):
            found.setdefault(f"{owner['kind']}/{metadata['namespace']}/{owner['name']}", []).append(
                metadata["name"]
            )
    return {workload: tuple(names) for workload, names in found.items()}


def _owners(snapshot: Snapshot, pod: JsonObject) -> Iterable[JsonObject]:
    owner = controller_of(pod)
    if owner is None:
        return
    yield owner
    if owner["kind"] == "ReplicaSet":
        parent = snapshot.get("ReplicaSet", pod["metadata"]["namespace"], owner["name"])
        above = controller_of(parent) if parent else None
        if above:
            yield above

"""From the words of a probe to addresses: who is meant, and who may answer.

A target has addresses to send to and *candidates*, the places where its packets may arrive:
the endpoints of a Service, the pod that owns an address, the backends of a NodePort.
Everything is read from the `ClusterState` and the objects; nothing is asked of the network.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from ipaddress import ip_address

from emulator.cluster.model import ClusterState, Pod, Service, ServicePort
from emulator.cluster.places import Place, PlaceKind
from emulator.cluster.wiring import IPAddress

_WORKLOADS = {
    PlaceKind.DEPLOYMENT: "Deployment",
    PlaceKind.STATEFUL_SET: "StatefulSet",
    PlaceKind.DAEMON_SET: "DaemonSet",
}


class UnknownPlaceError(LookupError):
    """No such pod, service, node, host or address; the message names what there is."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A place with its addresses, and the places where packets sent to them may arrive."""

    place: str
    addresses: tuple[IPAddress, ...]
    candidates: tuple[str, ...]
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """Answers where places are, for one state of the cluster."""

    state: ClusterState
    workload_pods: Mapping[str, tuple[str, ...]]
    """`Deployment/shop/web` → names of its pods, in order of age."""
    headless: tuple[Service, ...] = ()
    """Services without an address: traffic to them goes to an endpoint."""
    aliases: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(namespace, name) of ExternalName Services → the name that they stand for."""

    def site_of(self, place: Place) -> str:
        """The place that traffic starts from; a workload is its first pod. Raises UnknownPlaceError."""
        match place.kind:
            case PlaceKind.POD:
                return _pod_place(self._pod(place))
            case PlaceKind.DEPLOYMENT | PlaceKind.STATEFUL_SET | PlaceKind.DAEMON_SET:
                return _pod_place(self._workload(place))
            case PlaceKind.NODE:
                self._node_addresses(place.name)
                return str(place)
            case PlaceKind.EXTERNAL:
                self._external_addresses(place.name)
                return str(place)
            case PlaceKind.ROUTER:
                self._router_addresses(place.name)
                return str(place)
            case PlaceKind.ADDRESS:
                owner = self.owner(ip_address(place.name))
                if owner:
                    return owner
        raise UnknownPlaceError(
            f"{place} is no place that can send: name a pod, a workload, a node, an ext/ host or a router"
        )

    def resolve(self, place: Place, port: int | None, protocol: str) -> Resolved:
        """Where to send for `place`, and who may answer on `port`. Raises UnknownPlaceError."""
        match place.kind:
            case PlaceKind.SERVICE:
                return self._service(place, port, protocol)
            case PlaceKind.NODE:
                addresses = self._node_addresses(place.name)
                return Resolved(
                    str(place), addresses, self._behind_node_port(str(place), port, protocol), port
                )
            case PlaceKind.EXTERNAL:
                return Resolved(str(place), self._external_addresses(place.name), (str(place),), port)
            case PlaceKind.ROUTER:
                return Resolved(str(place), self._router_addresses(place.name), (str(place),), port)
            case PlaceKind.ADDRESS:
                return self._address(ip_address(place.name), port, protocol)
            case PlaceKind.NAME:
                raise UnknownPlaceError(f"{place} is a name, which only DNS knows")
        pod = self._pod(place) if place.kind is PlaceKind.POD else self._workload(place)
        return Resolved(_pod_place(pod), pod.addresses, (_pod_place(pod),), port)

    def only_port(self, place: Place) -> tuple[int, str]:
        """The port of a service that has one. Raises UnknownPlaceError when it has several."""
        ports = self._find_service(place).ports
        if len(ports) != 1:
            choice = ", ".join(f"{port.port}/{port.protocol.lower()}" for port in ports) or "none"
            raise UnknownPlaceError(f"{place} has {len(ports)} ports; say which with --port ({choice})")
        return ports[0].port, ports[0].protocol.lower()

    def only_port_at(self, address: IPAddress) -> tuple[int, str] | None:
        """The port of the Service that has an address, when it has one only."""
        for service in self.state.services:
            if address in _frontends(service) and len(service.ports) == 1:
                return service.ports[0].port, service.ports[0].protocol.lower()
        return None

    # The kinds of target

    def _service(self, place: Place, port: int | None, protocol: str) -> Resolved:
        service = self._find_service(place)
        if port is None and len(service.ports) == 1:
            port = service.ports[0].port
        chosen = [p for p in service.ports if p.port == port and p.protocol.lower() == protocol]
        candidates = _distinct(self._endpoint_places(chosen))
        addresses: tuple[IPAddress, ...] = service.cluster_ips
        if not addresses:
            endpoints = [endpoint for p in chosen for endpoint in p.endpoints if endpoint.ready]
            addresses = tuple(dict.fromkeys(endpoint.address for endpoint in endpoints))
            port = endpoints[0].port if endpoints else port
        if not addresses:
            raise UnknownPlaceError(f"{place} is headless and has no ready endpoint to send to")
        return Resolved(str(place), addresses, candidates, port)

    def _address(self, address: IPAddress, port: int | None, protocol: str) -> Resolved:
        chosen = self._at({address}, port, protocol)
        if chosen:
            return Resolved(str(address), (address,), _distinct(self._endpoint_places(chosen)), port)
        owner = self.owner(address)
        if address.is_loopback:
            # Whose it is depends on who asks; whoever may answer is worth a look.
            anyone = self._behind_node_port(None, port, protocol)
            return Resolved(str(address), (address,), anyone, port)
        if owner and owner.startswith("node/"):
            return Resolved(str(address), (address,), self._behind_node_port(owner, port, protocol), port)
        return Resolved(str(address), (address,), (owner,) if owner else (), port)

    def _behind_node_port(self, node: str | None, port: int | None, protocol: str) -> tuple[str, ...]:
        """Who may answer at a node's port: endpoints, a pod by its hostPort, or the node (None: any node)."""
        chosen = [
            p
            for s in self.state.services
            for p in s.ports
            if p.node_port == port and p.protocol.lower() == protocol
        ]
        if node:
            chosen += self._at(set(self._node_addresses(node.removeprefix("node/"))), port, protocol)
        if port and chosen:
            return _distinct(self._endpoint_places(chosen))
        pods = (
            _pod_place(pod)
            for pod in self.state.pods
            if node in (None, f"node/{pod.node}") and _claims(pod, port, protocol)
        )
        return _distinct(pods) or ((node,) if node else ())

    def _at(self, addresses: set[IPAddress], port: int | None, protocol: str) -> list[ServicePort]:
        """The service ports that have a frontend at one of the addresses."""
        return [
            found
            for service in self.state.services
            if addresses & _frontends(service)
            for found in service.ports
            if found.port == port and found.protocol.lower() == protocol
        ]

    def _endpoint_places(self, ports: Iterable[ServicePort]) -> Iterator[str]:
        for port in ports:
            for endpoint in port.endpoints:
                place = self.owner(endpoint.address)
                if place:
                    yield place

    # Looking things up

    def _pod(self, place: Place) -> Pod:
        for pod in self.state.pods:
            if (pod.ref.namespace, pod.ref.name) == (place.namespace, place.name):
                return pod
        for short, kind in _WORKLOADS.items():
            if f"{kind}/{place.namespace}/{place.name}" in self.workload_pods:
                meant = Place(short, place.name, place.namespace)
                raise UnknownPlaceError(f"no running pod {place}; did you mean {meant}?")
        if self._is_service(place):
            raise UnknownPlaceError(
                f"no running pod {place}; did you mean svc/{place.name}, or the name //{place.name}?"
            )
        raise UnknownPlaceError(f"no running pod {place}; {self._meant_pod(place)}")

    def _meant_pod(self, place: Place) -> str:
        """Of the same name elsewhere, or nearly so called; else how to find it."""
        pods = (_pod_place(pod) for pod in self.state.pods)
        known = (*self._workload_places(), *pods, *self._service_places())
        return _nearest(place, known) or "`mininetes get pods -A` lists them"

    def _workload_places(self) -> Iterator[str]:
        """`deploy/shop/web`, ...; ReplicaSets are not named so."""
        for text in self.workload_pods:
            kind, namespace, name = text.split("/")
            for short in (short for short, word in _WORKLOADS.items() if word == kind):
                yield str(Place(short, name, namespace))

    def _service_places(self) -> Iterator[str]:
        for one in (*self.state.services, *self.headless):
            yield str(Place(PlaceKind.SERVICE, one.ref.name, one.ref.namespace))

    def _is_service(self, place: Place) -> bool:
        """Is a Service called so? People write its bare name, as they do inside pods."""
        named = (place.namespace, place.name)
        known = ((one.ref.namespace, one.ref.name) for one in (*self.state.services, *self.headless))
        return named in self.aliases or named in known

    def _workload(self, place: Place) -> Pod:
        names = self.workload_pods.get(f"{_WORKLOADS[place.kind]}/{place.namespace}/{place.name}")
        if names is None:
            known = [text for text in self._workload_places() if text.startswith(place.kind)]
            hint = _nearest(place, known) or f"`mininetes get {place.kind} -n {place.namespace}` lists them"
            raise UnknownPlaceError(f"no {place}; {hint}")
        for pod in self.state.pods:
            if pod.ref.namespace == place.namespace and pod.ref.name in names and not pod.terminating:
                return pod
        raise UnknownPlaceError(f"{place} has no running pod")

    def _find_service(self, place: Place) -> Service:
        for service in (*self.state.services, *self.headless):
            if (service.ref.namespace, service.ref.name) == (place.namespace, place.name):
                return service
        alias = self.aliases.get((place.namespace, place.name))
        if alias:
            name = f"{place.name}.{place.namespace}.svc"
            raise UnknownPlaceError(
                f"{place} only stands for the name {alias}: it has no address; probe the name: {name}"
            )
        hint = _nearest(place, self._service_places()) or "`mininetes get services -A` lists them"
        raise UnknownPlaceError(f"no service {place}; {hint}")

    def _node_addresses(self, name: str) -> tuple[IPAddress, ...]:
        for node in self.state.wiring.nodes:
            if node.name == name:
                return tuple(interface.ip for interface in node.addresses)
        known = ", ".join(node.name for node in self.state.wiring.nodes)
        raise UnknownPlaceError(f"no node {name!r}; the nodes are {known}")

    def _external_addresses(self, name: str) -> tuple[IPAddress, ...]:
        for host in self.state.wiring.external:
            if host.name == name:
                return tuple(interface.ip for interface in host.addresses)
        known = ", ".join(f"ext/{host.name}" for host in self.state.wiring.external)
        raise UnknownPlaceError(f"no host ext/{name} outside the cluster; there are {known}")

    def _router_addresses(self, name: str) -> tuple[IPAddress, ...]:
        wiring = self.state.wiring
        for router in wiring.routers:
            if router.name == name:
                return router.addresses
        for bridge in wiring.bridges:
            if bridge.place == f"router/{name}":
                raise UnknownPlaceError(
                    f"router/{name} is a switch without a network stack; capture at its ports, "
                    + ", ".join(port.name for port in bridge.ports)
                )
        raise UnknownPlaceError(f"no router {name!r} in this topology")

    def owner(self, address: IPAddress) -> str | None:
        """The place that has `address` on an interface."""
        wiring = self.state.wiring
        for node in wiring.nodes:
            if address in node.pod_gateways or any(address == interface.ip for interface in node.addresses):
                return f"node/{node.name}"
        for pod in self.state.pods:
            if address in pod.addresses:
                return _pod_place(pod)
        for host in wiring.external:
            if any(address == interface.ip for interface in host.addresses):
                return f"ext/{host.name}"
        for router in wiring.routers:
            if any(address == one.ip for interface in router.interfaces for one in interface.addresses):
                return router.place
        return None


def _nearest(place: Place, known: Iterable[str]) -> str:
    """`did you mean svc/shop/web?`: in another namespace, or with a letter amiss; empty if there is none."""
    elsewhere: list[str] = []
    here: dict[str, str] = {}
    for text in known:
        space, _, name = text.rpartition("/")
        if name == place.name:
            elsewhere.append(text)
        elif space.rpartition("/")[2] == place.namespace:
            here.setdefault(name, text)
    near = [here[name] for name in get_close_matches(place.name, here, n=1, cutoff=0.65)]
    meant = (elsewhere or near)[:3]
    return f"did you mean {' or '.join(meant)}?" if meant else ""


def _claims(pod: Pod, port: int | None, protocol: str) -> bool:
    """Whether a port of its node is the pod's."""
    if pod.host_network or port is None:
        return False
    return any(p.host_port == port and p.protocol.lower() == protocol for p in pod.container_ports)


def _pod_place(pod: Pod) -> str:
    return str(Place(PlaceKind.POD, pod.ref.name, pod.ref.namespace))


def _frontends(service: Service) -> set[IPAddress]:
    return {*service.cluster_ips, *service.external_ips, *(entry.address for entry in service.load_balancer)}


def _distinct(places: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(places))

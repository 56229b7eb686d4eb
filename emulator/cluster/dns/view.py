"""What the DNS looks at: the objects of one moment, found by the names and addresses that are asked for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from emulator.api.objects import JsonObject, Key
from emulator.cluster.pods import addresses, parse_address
from emulator.cluster.state import SERVICE_NAME_LABEL, cluster_ips
from emulator.cluster.wiring import IPAddress

NO_PORT = -1
"""Stands where a Service or an EndpointSlice has no ports: its addresses have names all the same."""


class Objects(Protocol):
    """Where objects are read; the store offers it."""

    def find(self, key: Key) -> JsonObject | None:
        """The object, or None."""

    def list(self, kind: str, namespace: str = "") -> Sequence[JsonObject]:
        """The objects of a kind in one namespace (empty: in all), in order of their names."""


@dataclass(frozen=True, slots=True)
class Port:
    """A port of a Service or of an EndpointSlice; `protocol` in capitals."""

    name: str
    protocol: str
    number: int


@dataclass(frozen=True, slots=True)
class Backend:
    """An address behind a Service that is ready, with its ports."""

    address: IPAddress
    hostname: str
    """As the slice says; empty when it says none."""
    pod: str
    """The pod's name; empty for what is none."""
    ports: tuple[Port, ...]


ServiceName = tuple[str, str]
"""Namespace and name."""


@dataclass(frozen=True)
class View:
    """Objects by what the DNS is asked about. Indices are made when they are first needed."""

    objects: Objects

    def has_namespace(self, name: str) -> bool:
        """Whether a namespace exists."""
        return self.objects.find(Key("Namespace", "", name)) is not None

    def service(self, namespace: str, name: str) -> JsonObject | None:
        """A Service, or None."""
        return self.objects.find(Key("Service", namespace, name))

    def backends(self, namespace: str, name: str) -> Sequence[Backend]:
        """The ready addresses behind a Service, in the order of its slices."""
        return self._backends.get((namespace, name), ())

    def service_at(self, address: IPAddress) -> ServiceName | None:
        """The Service that has a cluster IP."""
        return self._services_by_address.get(address)

    def backends_at(self, address: IPAddress) -> Sequence[tuple[ServiceName, Backend]]:
        """Every Service behind which an address is ready."""
        return self._backends_by_address.get(address, ())

    def has_pod(self, namespace: str, address: IPAddress) -> bool:
        """Whether a pod of the namespace has an address."""
        return any(address in addresses(pod) for pod in self.objects.list("Pod", namespace))

    @cached_property
    def _backends(self) -> Mapping[ServiceName, tuple[Backend, ...]]:
        found: defaultdict[ServiceName, list[Backend]] = defaultdict(list)
        for obj in self.objects.list("EndpointSlice"):
            metadata = obj["metadata"]
            service = (metadata.get("labels") or {}).get(SERVICE_NAME_LABEL)
            if service and obj.get("addressType") in ("IPv4", "IPv6"):
                found[metadata["namespace"], service] += _ready(obj)
        return {name: tuple(backends) for name, backends in found.items()}

    @cached_property
    def _backends_by_address(self) -> Mapping[IPAddress, list[tuple[ServiceName, Backend]]]:
        found: defaultdict[IPAddress, list[tuple[ServiceName, Backend]]] = defaultdict(list)
        for name, backends in self._backends.items():
            for backend in backends:
                found[backend.address].append((name, backend))
        return found

    @cached_property
    def _services_by_address(self) -> Mapping[IPAddress, ServiceName]:
        return {
            address: (service["metadata"]["namespace"], service["metadata"]["name"])
            for service in self.objects.list("Service")
            for address in cluster_ips(service)
        }


def ports_of(obj: JsonObject) -> tuple[Port, ...]:
    """The ports of a Service's spec or of an EndpointSlice; `NO_PORT` alone where there are none."""
    found = tuple(
        Port(port.get("name") or "", port.get("protocol") or "TCP", port.get("port") or NO_PORT)
        for port in obj.get("ports") or ()
    )
    return found or (Port("", "", NO_PORT),)


def _ready(endpoint_slice: JsonObject) -> Iterator[Backend]:
    """Endpoints that are not told to be unready; a condition that is absent counts as ready."""
    ports = ports_of(endpoint_slice)
    for endpoint in endpoint_slice.get("endpoints") or ():
        if (endpoint.get("conditions") or {}).get("ready") is False:
            continue
        for address in endpoint.get("addresses") or ():
            pod = (endpoint.get("targetRef") or {}).get("name") or ""
            yield Backend(parse_address(address), endpoint.get("hostname") or "", pod, ports)

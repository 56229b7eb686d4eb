"""From a Service port that an Ingress names to the endpoints that get its requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from emulator.api.objects import JsonObject
from emulator.cluster.ingress.model import Backend, Server
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.state import SERVICE_NAME_LABEL


class BackendError(Exception):
    """A backend that can never serve as it is written; `reason` is a word in CamelCase."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


Slices = Mapping[tuple[str, str], Sequence[JsonObject]]
"""The EndpointSlices of each Service, by its namespace and name."""


def slices_by_service(snapshot: Snapshot) -> Slices:
    """All EndpointSlices that belong to a Service."""
    found: dict[tuple[str, str], list[JsonObject]] = {}
    for obj in snapshot.all("EndpointSlice"):
        metadata = obj["metadata"]
        service = (metadata.get("labels") or {}).get(SERVICE_NAME_LABEL)
        if service:
            found.setdefault((metadata["namespace"], service), []).append(obj)
    return found


def backend_of(snapshot: Snapshot, slices: Slices, namespace: str, name: str, wanted: JsonObject) -> Backend:
    """The backend of a Service's port, `wanted` by number or name: `{"number": 80}`, `{"name": "http"}`.

    Requests go to the endpoints themselves, past the Service's address: to the ready ones, and where there
    are none to those that serve while they terminate. Raises BackendError.
    """
    service = snapshot.get("Service", namespace, name)
    if service is None:
        raise BackendError("ServiceNotFound", f"Service {namespace}/{name} does not exist")
    if service["spec"].get("type") == "ExternalName":
        raise BackendError(
            "ExternalNameNotSupported",
            f"Service {namespace}/{name} is an ExternalName, to which the proxy does not send",
        )
    port = _port(service, wanted)
    if port is None:
        known = ", ".join(_spelled(one) for one in service["spec"].get("ports") or ()) or "none"
        raise BackendError(
            "ServicePortNotFound",
            f"Service {namespace}/{name} has no port {wanted.get('name') or wanted.get('number')} "
            f"(its ports are {known})",
        )
    servers = _servers(service, port, slices.get((namespace, name), ()))
    excuse = f"Service {namespace}/{name} has no ready endpoint"
    return Backend(f"{namespace}_{name}_{port['port']}", servers, excuse)


def _port(service: JsonObject, wanted: JsonObject) -> JsonObject | None:
    for port in service["spec"].get("ports") or ():
        if (port.get("protocol") or "TCP") != "TCP":
            continue
        if (
            (wanted.get("name") or "") == (port.get("name") or "")
            if wanted.get("name")
            else (wanted.get("number") == port["port"])
        ):
            found: JsonObject = port
            return found
    return None


def _spelled(port: JsonObject) -> str:
    return f"{port['name']} ({port['port']})" if port.get("name") else str(port["port"])


def _servers(service: JsonObject, port: JsonObject, slices: Sequence[JsonObject]) -> tuple[Server, ...]:
    families = service["spec"].get("ipFamilies") or [one.get("addressType") for one in slices]
    own = [one for one in slices if families and one.get("addressType") == families[0]]
    found = [pair for one in own for pair in _endpoints(one, port.get("name") or "")]
    ready = [server for server, conditions in found if conditions.get("ready") is not False]
    draining = [server for server, conditions in found if _drains(conditions)]
    distinct: dict[tuple[str, int], Server] = {}
    for server in ready or draining:
        distinct.setdefault((server.address, server.port), server)
    return tuple(sorted(distinct.values(), key=lambda server: (server.name, server.address, server.port)))


def _endpoints(one: JsonObject, port_name: str) -> Iterator[tuple[Server, JsonObject]]:
    for port in one.get("ports") or ():
        if (port.get("name") or "") != port_name or (port.get("protocol") or "TCP") != "TCP":
            continue
        if not port.get("port"):
            continue
        for endpoint in one.get("endpoints") or ():
            target = endpoint.get("targetRef") or {}
            address = endpoint["addresses"][0]
            is_pod = target.get("kind") == "Pod" and target.get("name")
            name = f"{one['metadata']['namespace']}/{target['name']}" if is_pod else address
            yield Server(name, address, port["port"]), endpoint.get("conditions") or {}


def _drains(conditions: JsonObject) -> bool:
    return bool(conditions.get("terminating")) and bool(conditions.get("serving"))

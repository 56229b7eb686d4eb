"""What Ingresses say of themselves: the addresses at which they are served, and what of them is not.

A control loop. It writes only about Ingresses whose class belongs to a controller that could run here;
others are for whoever their class names.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from zlib import crc32

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, Create, with_status
from emulator.cluster.ingress.classes import class_of
from emulator.cluster.ingress.controllers import FLAVOURS, OWN_NAME, Controller, controllers
from emulator.cluster.ingress.model import HTTP, HTTPS, Problem
from emulator.cluster.ingress.routing import route
from emulator.cluster.pods import is_ready, node_name
from emulator.cluster.snapshot import Snapshot

_KNOWN = frozenset(name for flavour in FLAVOURS.values() for name in flavour.names)
_ERROR_DOMAIN = "mininetes.io"
_INSTALL = "install one: mininetes apply -f ingress-controller"


def ingresses(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """Statuses of Ingresses, and Events about what of them cannot be served."""
    if not any(True for _ in snapshot.all("Ingress")):
        return
    running = controllers(snapshot)
    problems = problems_of(snapshot, running, now)
    for ingress in snapshot.all("Ingress"):
        own = [one for one in problems if _is_about(one, ingress)]
        serving = [one for one in running if one.serves(ingress, snapshot)]
        if serving or _is_ours(snapshot, ingress):
            yield from with_status(ingress, {"loadBalancer": _addresses(snapshot, serving, own)})
        for problem in own:
            yield from _event(snapshot, ingress, problem, now)


def complaints(snapshot: Snapshot, now: datetime) -> tuple[str, ...]:
    """Everything about Ingresses that a user would want to know who has just applied some."""
    if not any(True for _ in snapshot.all("Ingress")):
        return ()
    running = controllers(snapshot)
    unserved = [
        f"Ingress {one['metadata']['namespace']}/{one['metadata']['name']} is not served: {why}"
        for one in snapshot.all("Ingress")
        if (why := _why_unserved(snapshot, running, one))
    ]
    return (*unserved, *(str(problem) for problem in problems_of(snapshot, running, now)))


def problems_of(snapshot: Snapshot, running: Sequence[Controller], now: datetime) -> tuple[Problem, ...]:
    """What the running controllers cannot serve, each thing once."""
    found: dict[Problem, None] = {}
    for controller in running:
        found |= dict.fromkeys(route(snapshot, controller, now).problems)
    return tuple(found)


def _why_unserved(snapshot: Snapshot, running: Sequence[Controller], ingress: JsonObject) -> str:
    if any(one.serves(ingress, snapshot) for one in running):
        return ""
    name = class_of(ingress)
    if not name:
        known = ", ".join(one["metadata"]["name"] for one in snapshot.all("IngressClass"))
        hint = f"set spec.ingressClassName to one of: {known}" if known else _INSTALL
        return f"it names no class, and no IngressClass was the default when it was made; {hint}"
    found = snapshot.get("IngressClass", "", name)
    if found is None:
        how = "" if not running else f"; the controller that runs serves {_served(snapshot, running)}"
        return f'there is no IngressClass "{name}", so no controller takes it; {how[2:] or _INSTALL}'
    controller = found["spec"].get("controller")
    if controller in _KNOWN:
        return f'no pod of the controller "{controller}" of class "{name}" runs; {_INSTALL}'
    return f'class "{name}" wants the controller "{controller}", which nothing here plays'


def _served(snapshot: Snapshot, running: Sequence[Controller]) -> str:
    names = frozenset(name for one in running for name in one.names)
    own = [
        one["metadata"]["name"]
        for one in snapshot.all("IngressClass")
        if one["spec"].get("controller") in names
    ]
    return f"the class {', '.join(own)}" if own else "no class yet: make an IngressClass for it"


def _is_ours(snapshot: Snapshot, ingress: JsonObject) -> bool:
    """Whether its class belongs to a controller that this emulator can run."""
    found = snapshot.get("IngressClass", "", class_of(ingress))
    return found is not None and found["spec"].get("controller") in _KNOWN


def _is_about(problem: Problem, ingress: JsonObject) -> bool:
    metadata = ingress["metadata"]
    return (problem.namespace, problem.ingress) == (metadata["namespace"], metadata["name"])


# Addresses


def _addresses(snapshot: Snapshot, serving: Sequence[Controller], problems: Sequence[Problem]) -> JsonObject:
    entries = [dict(entry) for one in serving if is_ready(one.pod) for entry in _published(snapshot, one)]
    distinct = list({str(sorted(entry.items())): entry for entry in entries}.values())
    if errors := _errors(problems):
        distinct = [{**entry, "ports": errors} for entry in distinct]
    return {"ingress": distinct} if distinct else {}


def _published(snapshot: Snapshot, controller: Controller) -> Iterator[JsonObject]:
    """Where a controller is reached: its load balancer, else the node of its pod, else its cluster IP."""
    services = list(_services(snapshot, controller.pod))
    balanced = [
        entry
        for service in services
        if service["spec"].get("type") == "LoadBalancer"
        for entry in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    ]
    if balanced:
        for entry in balanced:
            yield {field: entry[field] for field in ("ip", "hostname") if entry.get(field)}
        return
    exposed = any(service["spec"].get("type") in ("NodePort", "LoadBalancer") for service in services)
    if exposed or controller.pod["spec"].get("hostNetwork") or _has_host_port(controller.pod):
        for plan in snapshot.wiring.nodes:
            if plan.name == node_name(controller.pod):
                yield from ({"ip": str(interface.ip)} for interface in plan.addresses)
        return
    for service in services:
        address = service["spec"].get("clusterIP")
        if address and address != "None":
            yield {"ip": address}


def _services(snapshot: Snapshot, pod: JsonObject) -> Iterator[JsonObject]:
    labels = (pod["metadata"].get("labels") or {}).items()
    for service in snapshot.all("Service"):
        selector = service["spec"].get("selector")
        is_near = service["metadata"]["namespace"] == pod["metadata"]["namespace"]
        if is_near and selector and selector.items() <= labels:
            yield service


def _has_host_port(pod: JsonObject) -> bool:
    return any(
        port.get("hostPort")
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
    )


def _errors(problems: Sequence[Problem]) -> list[JsonObject]:
    """`ports` of a status entry: the first problem of each port."""
    first: dict[int, str] = {}
    for problem in problems:
        if problem.port in (HTTP, HTTPS):
            first.setdefault(problem.port, problem.reason)
    return [
        {"port": port, "protocol": "TCP", "error": f"{_ERROR_DOMAIN}/{reason}"}
        for port, reason in sorted(first.items())
    ]


# Events


def _event(snapshot: Snapshot, ingress: JsonObject, problem: Problem, now: datetime) -> Iterator[Change]:
    """A Warning, as long as there is not one already: an hour later it is told again."""
    metadata = ingress["metadata"]
    mark = crc32(f"{metadata['uid']} {problem.reason} {problem.message}".encode())
    name = f"{metadata['name']}.{mark:08x}"
    if snapshot.get("Event", metadata["namespace"], name) is not None:
        return
    moment = timestamp(now)
    yield Create(
        {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": metadata["namespace"]},
            "involvedObject": {
                "apiVersion": ingress["apiVersion"],
                "kind": "Ingress",
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "uid": metadata["uid"],
            },
            "type": "Warning",
            "reason": problem.reason,
            "message": problem.message,
            "source": {"component": OWN_NAME.partition("/")[2]},
            "firstTimestamp": moment,
            "lastTimestamp": moment,
            "count": 1,
        }
    )

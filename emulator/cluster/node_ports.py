"""Node ports of a Service: given out, kept, refused."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from emulator.api.errors import ApiError
from emulator.api.findings import Finding, forbidden, invalid
from emulator.api.objects import JsonObject, Path
from emulator.cluster.bands import FIRST_NODE_PORT, LAST_NODE_PORT, NODE_PORTS

_TAKEN = "provided port is already allocated"
_OUTSIDE = (
    f"provided port is not in the valid range. The range of valid ports is {FIRST_NODE_PORT}-{LAST_NODE_PORT}"
)
_FULL = "failed to allocate a nodePort: range is full"
_TYPES = frozenset({"NodePort", "LoadBalancer"})


@dataclass(slots=True)
class NodePorts:
    """The numbers that other Services hold, and a source of choices."""

    taken: set[int]
    seed: Callable[[], object]
    """Something new to choose by, at every call."""

    def settle(self, service: JsonObject, old: JsonObject | None = None) -> list[Finding]:
        """Give the Service its node ports, in place. Returns what is wrong with the ones it asks for.

        Raises ApiError 500 when none is left. After `initNodePorts` for a new Service, and
        `updateNodePorts` for a change: only a new one's ports share a number.
        """
        spec = service["spec"]
        if spec["type"] not in _TYPES:
            spec.pop("healthCheckNodePort", None)
            return _refuse_node_ports(spec)
        ports = spec.get("ports") or []
        findings = self._check(ports)
        if findings:
            return findings
        if spec["type"] == "NodePort" or spec.get("allocateLoadBalancerNodePorts", True):
            self._fill(ports, {} if old is None else None)
        return self._health_check(spec)

    def _check(self, ports: Iterable[JsonObject]) -> list[Finding]:
        seen: set[tuple[str, int]] = set()
        for index, port in enumerate(ports):
            number, path = port.get("nodePort"), _path(index)
            if not number:
                continue
            if number not in NODE_PORTS:
                return [invalid(path, number, _OUTSIDE)]
            if number in self.taken or (port["protocol"], number) in seen:
                return [invalid(path, number, _TAKEN)]
            seen.add((port["protocol"], number))
        return []

    def _fill(self, ports: Iterable[JsonObject], twins: dict[int, int] | None) -> None:
        """A port gets the number of its twin with another protocol (None: there are no twins), else one
        that nobody has."""
        ports = list(ports)
        held = {(port["protocol"], port["nodePort"]) for port in ports if port.get("nodePort")}
        if twins is not None:
            twins.update((port["port"], port["nodePort"]) for port in ports if port.get("nodePort"))
        for port in ports:
            if port.get("nodePort"):
                continue
            number = twins.get(port["port"]) if twins else None
            if number is None or (port["protocol"], number) in held:
                number = NODE_PORTS.choose(self.taken | {n for _, n in held}, self.seed())
            if number is None:
                raise exhausted(_FULL)
            port["nodePort"] = number
            if twins is not None:
                twins[port["port"]] = number
            held.add((port["protocol"], number))

    def _health_check(self, spec: JsonObject) -> list[Finding]:
        if spec["type"] != "LoadBalancer" or spec.get("externalTrafficPolicy") != "Local":
            spec.pop("healthCheckNodePort", None)
            return []
        path: Path = ("spec", "healthCheckNodePort")
        own = {port["nodePort"] for port in spec.get("ports") or () if port.get("nodePort")}
        number = spec.get("healthCheckNodePort")
        if number and number not in NODE_PORTS:
            return [invalid(path, number, _OUTSIDE)]
        if number:
            return [invalid(path, number, _TAKEN)] if number in self.taken | own else []
        number = NODE_PORTS.choose(self.taken | own, self.seed())
        if number is None:
            raise exhausted(_FULL)
        spec["healthCheckNodePort"] = number
        return []


def exhausted(why: str) -> ApiError:
    """500: what is asked for is right, and nothing is left of it."""
    return ApiError(500, "InternalError", f"Internal error occurred: {why}")


def held_node_ports(service: JsonObject) -> set[int]:
    """All node ports that a stored Service holds."""
    spec = service["spec"]
    numbers = {port.get("nodePort") for port in spec.get("ports") or ()} | {spec.get("healthCheckNodePort")}
    return {number for number in numbers if number}


def _path(index: int) -> Path:
    return ("spec", "ports", index, "nodePort")


def _refuse_node_ports(spec: JsonObject) -> list[Finding]:
    why = f"may not be used when `type` is '{spec['type']}'"
    return [
        forbidden(_path(index), why)
        for index, port in enumerate(spec.get("ports") or ())
        if port.get("nodePort")
    ]

"""What the API server's registry adds to a Service: families, cluster IPs, node ports, ids of its ports.

Allocation looks at the Services that exist, so nothing is kept that could disagree with them:
deleting a Service frees what it held. Choices look random, but follow from the seed and their order.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from ipaddress import ip_address

from emulator.api.errors import ApiError, invalid_object
from emulator.api.findings import Finding, invalid
from emulator.api.kinds import kind_named
from emulator.api.objects import JsonObject, Path, copy_json
from emulator.cluster.bands import address, address_band
from emulator.cluster.families import settle_families
from emulator.cluster.ingress.classes import with_default_class
from emulator.cluster.ingress.issued import with_certificate
from emulator.cluster.node_life import with_default_tolerations
from emulator.cluster.node_ports import NodePorts, exhausted, held_node_ports
from emulator.cluster.service_ranges import refused_ranges, reserved, service_ranges
from emulator.cluster.state import MAX_SERVICE_PORT_ID, PORT_IDS, cluster_ips, port_key, recorded_ids
from emulator.cluster.wiring import Wiring

_EXPOSED = frozenset({"NodePort", "LoadBalancer"})


class Admission:
    """The store's admission: `Store(journal, admission.admit)`.

    `stored` lists the objects of a kind that are stored at the time of the call.
    """

    def __init__(
        self, wiring: Wiring, stored: Callable[[str], Iterable[JsonObject]], *, seed: int = 0
    ) -> None:
        self._wiring = wiring
        self._stored = stored
        self._seed = seed
        self._choices = 0
        self._last_id = 0

    def admit(self, old: JsonObject | None, new: JsonObject) -> JsonObject:
        """The object to store: `new` itself, or for a Service a copy with everything allocated, for a new
        pod one with the tolerations that every pod has, for a new Ingress one with the default class,
        for a Secret that asks for one a certificate.

        Raises ApiError 422 for what cannot be allocated, and 500 where nothing is left to allocate, in the
        API server's words.
        """
        if new["kind"] == "ServiceCIDR" and old is None and (found := refused_ranges(self._wiring, new)):
            raise invalid_object(kind_named("ServiceCIDR"), new["metadata"]["name"], found)
        if new["kind"] == "Pod" and old is None:
            return with_default_tolerations(new)
        if new["kind"] == "Ingress" and old is None:
            return with_default_class(new, self._stored("IngressClass"))
        if new["kind"] == "Secret":
            return with_certificate(old, new, datetime.now(UTC))
        return new if new["kind"] != "Service" else self._service(old, new)

    def _service(self, old: JsonObject | None, new: JsonObject) -> JsonObject:
        service: JsonObject = copy_json(new)
        uid = service["metadata"].get("uid")
        others = [other for other in self._stored("Service") if other["metadata"].get("uid") != uid]
        if old is not None:
            carry_over(old, service)
        node_ports = NodePorts({n for other in others for n in held_node_ports(other)}, self._choice)
        findings = (
            settle_families(service, old, self._wiring.service_cidrs)
            or self._cluster_ips(service, others)
            or node_ports.settle(service, old)
        )
        if findings:
            raise invalid_object(kind_named("Service"), service["metadata"]["name"], findings)
        self._number_ports(old, service, others)
        return service

    def _choice(self) -> tuple[int, int]:
        self._choices += 1
        return (self._seed, self._choices)

    # -- cluster IPs

    def _cluster_ips(self, service: JsonObject, others: Sequence[JsonObject]) -> list[Finding]:
        spec = service["spec"]
        if spec["type"] == "ExternalName" or spec.get("clusterIP") == "None":
            return []
        given: list[str] = spec.get("clusterIPs") or []
        taken = {
            int(ip_address(ip)) for o in others for ip in o["spec"].get("clusterIPs") or () if ip != "None"
        } | reserved(self._stored("IPAddress"), service)
        chosen: list[str] = []
        for index, family in enumerate(spec["ipFamilies"]):
            version = 4 if family == "IPv4" else 6
            wanted = given[index] if index < len(given) else None
            found = self._cluster_ip(version, wanted, taken)
            if isinstance(found, Finding):
                return [found]
            chosen.append(found)
        spec["clusterIP"], spec["clusterIPs"] = chosen[0], chosen
        return []

    def _cluster_ip(self, version: int, wanted: str | None, taken: set[int]) -> str | Finding:
        path: Path = ("spec", "clusterIPs")
        ranges = service_ranges(self._wiring, self._stored("ServiceCIDR"))
        networks = [network for network in ranges if network.version == version]
        if wanted is None:
            choice = self._choice()
            chosen = (address_band(network).choose(taken, choice) for network in networks)
            number = next((found for found in chosen if found is not None), None)
            if number is None:
                raise exhausted("failed to allocate a serviceIP: range is full")
            return str(address(number, version))
        number = int(ip_address(wanted))
        if not any(int(n.network_address) < number < int(n.broadcast_address) for n in networks):
            valid = ",".join(map(str, networks))
            why = f"the provided IP ({wanted}) is not in the valid range. The range of valid IPs is {valid}"
            return invalid(path, [wanted], f"failed to allocate IP {wanted}: {why}")
        if number in taken:
            return invalid(
                path, [wanted], f"failed to allocate IP {wanted}: provided IP is already allocated"
            )
        return str(address(number, version))

    # -- ids of ports

    def _number_ports(
        self, old: JsonObject | None, service: JsonObject, others: Sequence[JsonObject]
    ) -> None:
        """Ports that stay keep their ids; new ports get those that have not been used for longest."""
        if not cluster_ips(service):
            return
        known = recorded_ids(old) if old is not None else {}
        used = {number for other in others for number in recorded_ids(other).values()} | set(known.values())
        if not self._last_id:
            self._last_id = max(used, default=0)
        ids: dict[str, int] = {}
        for key in map(port_key, service["spec"].get("ports") or ()):
            ids[key] = known[key] if key in known else self._next_id(used)
            used.add(ids[key])
        annotations = dict(service["metadata"].get("annotations") or {})
        annotations[PORT_IDS] = json.dumps(ids, sort_keys=True, separators=(",", ":"))
        service["metadata"]["annotations"] = annotations

    def _next_id(self, used: set[int]) -> int:
        for step in range(MAX_SERVICE_PORT_ID):
            number = (self._last_id + step) % MAX_SERVICE_PORT_ID + 1
            if number not in used:
                self._last_id = number
                return number
        raise ApiError(500, "InternalError", f"all {MAX_SERVICE_PORT_ID} ids of service ports are in use")


def carry_over(old: JsonObject, service: JsonObject) -> None:
    """What an update need not repeat keeps its value, and what its new type cannot have is dropped. In place.

    After `patchAllocatedValues` and `dropTypeDependentFields` of Kubernetes' Service registry.
    """
    before, spec = old["spec"], service["spec"]
    if "ExternalName" not in (before["type"], spec["type"]):
        if not spec.get("clusterIP") and not spec.get("clusterIPs"):
            for field in ("clusterIP", "clusterIPs"):
                if field in before:
                    spec[field] = copy_json(before[field])
        elif spec.get("clusterIP") == before.get("clusterIP") and not spec.get("clusterIPs"):
            spec["clusterIPs"] = list(before.get("clusterIPs") or ())
        if spec.get("ipFamilyPolicy") == "SingleStack" and spec.get("clusterIPs") == before.get("clusterIPs"):
            spec["clusterIPs"] = spec["clusterIPs"][:1]
    was_exposed, is_exposed = before["type"] in _EXPOSED, spec["type"] in _EXPOSED
    known = {p.get("name", ""): p["nodePort"] for p in before.get("ports") or () if p.get("nodePort")}
    ports = spec.get("ports") or ()
    used = {port.get("nodePort") for port in ports}
    for port in ports:
        number = known.get(port.get("name", ""))
        if was_exposed and is_exposed and number not in used and not port.get("nodePort"):
            port["nodePort"] = number
        elif was_exposed and not is_exposed and port.get("nodePort") in known.values():
            port.pop("nodePort", None)
    if (
        was_exposed
        and not is_exposed
        and spec.get("externalTrafficPolicy") == before.get("externalTrafficPolicy")
    ):
        spec.pop("externalTrafficPolicy", None)
    if is_exposed and before.get("healthCheckNodePort") and not spec.get("healthCheckNodePort"):
        spec["healthCheckNodePort"] = before["healthCheckNodePort"]

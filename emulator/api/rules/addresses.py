"""ServiceCIDR and IPAddress: the ranges that cluster IPs come from, and each address that is in use.

Source: `ValidateServiceCIDR` and `ValidateIPAddress` of Kubernetes' networking group.
"""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

from emulator.api.findings import Finding, Reason, invalid, required
from emulator.api.objects import JsonObject, Path
from emulator.api.rules.common import parsed_address

_CIDRS: Path = ("spec", "cidrs")
_PARENT: Path = ("spec", "parentRef")


def service_cidr_findings(obj: JsonObject) -> list[Finding]:
    """What is wrong with a ServiceCIDR: it has one range, or one of each family."""
    cidrs = (obj.get("spec") or {}).get("cidrs") or []
    if not cidrs:
        return [required(_CIDRS, "at least one CIDR required")]
    if len(cidrs) > 2:
        return [Finding(_CIDRS, Reason.TOO_MANY, "Too many: may only hold up to 2 values")]
    found = [finding for index, text in enumerate(cidrs) for finding in _cidr(text, (*_CIDRS, index))]
    if not found and len({ip_network(text).version for text in cidrs}) < len(cidrs):
        found.append(invalid(_CIDRS, cidrs, "may specify no more than one IP for each IP family"))
    return found


def _cidr(text: str, path: Path) -> Iterator[Finding]:
    try:
        network = ip_network(text)
    except ValueError:
        yield invalid(path, text, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
        return
    if str(network) != text:
        yield invalid(path, text, f'must be in canonical form ("{network}")')


def ip_address_findings(obj: JsonObject) -> list[Finding]:
    """What is wrong with an IPAddress: its name is an address as everyone writes it, and something has it."""
    name = (obj.get("metadata") or {}).get("name") or ""
    address = parsed_address(name)
    found = []
    if address is None:
        found.append(invalid(("metadata", "name"), name, "must be a valid IP address"))
    elif str(address) != name:
        found.append(invalid(("metadata", "name"), name, f'must be in canonical form ("{address}")'))
    parent = (obj.get("spec") or {}).get("parentRef")
    if not parent:
        return [*found, required(_PARENT)]
    return [*found, *(required((*_PARENT, f)) for f in ("resource", "name") if not parent.get(f))]

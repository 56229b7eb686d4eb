"""What NetworkPolicies mean, read from the documents as they were written: a third opinion, and a naive one.

It follows the API's text field by field (networking.k8s.io/v1), knows pods by place, and shares nothing with
the oracle, the decoder or the compiler.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Any

Object = dict[str, Any]


@dataclass(frozen=True)
class World:
    """Pods by place, and what is known of each."""

    policies: Sequence[Object]
    labels: Mapping[str, Mapping[str, str]]
    namespaces: Mapping[str, Mapping[str, str]]
    ports: Mapping[str, Sequence[Object]]
    """containerPorts with names."""
    addresses: Mapping[tuple[str, int], str]
    """By place and family."""

    def passes(self, source: str, target: str, family: int, protocol: str, port: int) -> bool:
        """Whether the first packet gets from pod to pod."""
        return all(
            self.end_allows(direction, source, target, family, protocol, port)
            for direction in ("Egress", "Ingress")
        )

    def end_allows(
        self, direction: str, source: str, target: str, family: int, protocol: str, port: int
    ) -> bool:
        """Whether the policies of one end let it out, or in."""
        own, other = (source, target) if direction == "Egress" else (target, source)
        about = [policy for policy in self.policies if self._is_about(policy, direction, own)]
        if not about:
            return True
        return any(
            self._names(rule, key, policy["metadata"]["namespace"], other, family)
            and self._opens(rule, target, protocol, port)
            for policy in about
            for key in ("from" if direction == "Ingress" else "to",)
            for rule in self._rules(policy, direction)
        )

    def _is_about(self, policy: Object, direction: str, place: str) -> bool:
        spec = policy.get("spec") or {}
        types = spec.get("policyTypes")
        if not types:
            types = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
        namespace, _ = place.split("/")
        here = policy["metadata"]["namespace"] == namespace
        return direction in types and here and meant(spec.get("podSelector") or {}, self.labels[place])

    @staticmethod
    def _rules(policy: Object, direction: str) -> Iterable[Object]:
        return [rule or {} for rule in policy["spec"].get(direction.lower()) or ()]

    def _names(self, rule: Object, key: str, namespace: str, place: str, family: int) -> bool:
        peers = rule.get(key)
        return not peers or any(self._is(peer, namespace, place, family) for peer in peers)

    def _is(self, peer: Object, namespace: str, place: str, family: int) -> bool:
        block = peer.get("ipBlock")
        if block:
            address = ip_address(self.addresses[place, family])
            inside = address in ip_network(block["cidr"], strict=False)
            return inside and not any(
                address in ip_network(part, strict=False) for part in block.get("except") or ()
            )
        where, pods, theirs = peer.get("namespaceSelector"), peer.get("podSelector"), place.split("/")[0]
        near = theirs == namespace if where is None else meant(where, self.namespaces[theirs])
        return near and (pods is None or meant(pods, self.labels[place]))

    def _opens(self, rule: Object, target: str, protocol: str, port: int) -> bool:
        ports = rule.get("ports")
        return not ports or any(self._is_port(one or {}, target, protocol, port) for one in ports)

    def _is_port(self, wanted: Object, target: str, protocol: str, port: int) -> bool:
        if (wanted.get("protocol") or "TCP") != protocol:
            return False
        first = wanted.get("port")
        if first is None:
            return True
        if isinstance(first, int):
            return first <= port <= (wanted.get("endPort") or first)
        return any(
            (one["name"], one["protocol"], one["containerPort"]) == (first, protocol, port)
            for one in self.ports[target]
        )


def meant(selector: Object, labels: Mapping[str, str]) -> bool:
    """Whether a label selector means something with these labels."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for expression in selector.get("matchExpressions") or ():
        key, values = expression["key"], expression.get("values") or ()
        holds = {
            "In": key in labels and labels[key] in values,
            "NotIn": key not in labels or labels[key] not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }[expression["operator"]]
        if not holds:
            return False
    return True

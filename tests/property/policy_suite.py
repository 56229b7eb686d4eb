"""NetworkPolicies as generators of conformance suites make them: all values of each dimension, crossed.

The dimensions are direction, peers, ports, the shape of the rule list, policyTypes and the pods that are
meant, each in every way that YAML has for it. `crossed` is exhaustive over direction, peers and ports, and
goes round through the rest; `worlds` deals the policies out to nine pods, one or more a pod. Pure, and the
same for a seed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, product
from typing import Any

Object = dict[str, Any]

PLACES = tuple(f"{namespace}/{name}" for namespace in "xyz" for name in "abc")
NAMESPACES: Mapping[str, Mapping[str, str]] = {
    name: {"kubernetes.io/metadata.name": name, "ns": name} for name in "xyz"
}
TIERS = {"a": "front", "b": "back"}
"""Pods of the name c have no such label."""
PORTS = (80, 81)
PROTOCOLS = ("TCP", "UDP", "SCTP")
DIRECTIONS = ("Ingress", "Egress")

ABSENT = object()
"""The field is not written at all."""


def labels(place: str) -> dict[str, str]:
    """Of the pod at a place."""
    name = place.split("/")[1]
    return {"pod": name, **({"tier": TIERS[name]} if name in TIERS else {})}


def named_ports(place: str) -> list[Object]:
    """One name with another number in another pod and for another protocol; pods named c have none."""
    tcp, udp = {"a": (80, 81), "b": (81, 80), "c": (None, None)}[place.split("/")[1]]
    found = [("TCP", tcp), ("UDP", udp)]
    return [{"name": "web", "containerPort": port, "protocol": kind} for kind, port in found if port]


def _matching(**wanted: str) -> Object:
    return {"matchLabels": wanted}


def _where(key: str, operator: str, *values: str) -> Object:
    expression: Object = {"key": key, "operator": operator}
    return {"matchExpressions": [expression | ({"values": list(values)} if values else {})]}


def peers(at: Mapping[str, str]) -> Mapping[str, Any]:
    """All kinds of them; `at` has pods' addresses as `xa4`."""
    return {
        "any: absent": ABSENT,
        "any: null": None,
        "any: empty": [],
        "pods: all of the namespace": [{"podSelector": {}}],
        "pods: by label": [{"podSelector": _matching(pod="b"), "namespaceSelector": None}],
        "pods: In": [{"podSelector": _where("tier", "In", "front", "back")}],
        "pods: NotIn": [{"podSelector": _where("tier", "NotIn", "front")}],
        "pods: Exists": [{"podSelector": _where("tier", "Exists")}],
        "pods: DoesNotExist": [{"podSelector": _where("tier", "DoesNotExist")}],
        "pods: nobody": [{"podSelector": _matching(pod="nobody")}],
        "namespaces: all": [{"namespaceSelector": {}}],
        "namespaces: by label": [{"namespaceSelector": _matching(ns="y")}],
        "namespaces: by name": [{"namespaceSelector": _matching(**{"kubernetes.io/metadata.name": "z"})}],
        "namespaces: NotIn": [{"namespaceSelector": _where("ns", "NotIn", "y", "z")}],
        "namespaces: DoesNotExist": [{"namespaceSelector": _where("owner", "DoesNotExist")}],
        "both: and": [{"namespaceSelector": _matching(ns="y"), "podSelector": _matching(pod="a")}],
        "both: all": [{"namespaceSelector": {"matchLabels": None}, "podSelector": {"matchLabels": {}}}],
        "both: or": [{"namespaceSelector": _matching(ns="y")}, {"podSelector": _matching(pod="a")}],
        "blocks: one of IPv4": [{"ipBlock": {"cidr": f"{at['yb4']}/32"}}],
        "blocks: one of IPv6": [{"ipBlock": {"cidr": f"{at['yb6']}/128", "except": None}}],
        "blocks: bits of hosts": [
            {"ipBlock": {"cidr": f"{at['xa4']}/24"}},
            {"ipBlock": {"cidr": f"{at['zb6']}/64", "except": []}},
        ],
        "blocks: all but some": [
            {"ipBlock": {"cidr": "0.0.0.0/0", "except": [f"{at['yb4']}/24", f"{at['xa4']}/32"]}},
            {"ipBlock": {"cidr": "::/0", "except": [f"{at['yb6']}/128", f"{at['zc6']}/64"]}},
        ],
        "blocks: back again": [
            {"ipBlock": {"cidr": "10.244.0.0/16", "except": [f"{at['yb4']}/24"]}},
            {"ipBlock": {"cidr": f"{at['yb4']}/32"}},
        ],
        "blocks and pods": [{"ipBlock": {"cidr": f"{at['zb4']}/32"}}, {"podSelector": _matching(pod="a")}],
    }


PORTS_OF_RULES: Mapping[str, Any] = {
    "any: absent": ABSENT,
    "any: null": None,
    "any: empty": [],
    "protocol: the default": [{}],
    "protocol: null": [{"port": None, "protocol": None, "endPort": None}],
    "protocol: one": [{"protocol": "UDP"}],
    "number": [{"port": 80}],
    "number: UDP": [{"port": 81, "protocol": "UDP"}],
    "number: SCTP": [{"port": 80, "protocol": "SCTP"}],
    "numbers": [{"port": 81}, {"port": 80, "protocol": "UDP"}, {"port": 81}],
    "name": [{"port": "web"}],
    "name: UDP": [{"port": "web", "protocol": "UDP"}],
    "name: of nobody": [{"port": "nothing"}],
    "names and numbers": [
        {"port": "web"},
        {"port": 81, "protocol": "SCTP"},
        {"port": "web", "protocol": "UDP"},
    ],
    "range": [{"port": 79, "endPort": 80}],
    "range: of one": [{"port": 81, "endPort": 81, "protocol": "UDP"}],
    "range: elsewhere": [{"port": 82, "endPort": 65535}, {"port": 1, "endPort": 79}],
}

_TYPES: Mapping[str, tuple[Any, ...]] = {
    "Ingress": (["Ingress"], ABSENT, None, [], ["Ingress", "Egress"], ["Ingress", "Ingress"]),
    "Egress": (["Egress"], ABSENT, ["Egress", "Ingress"], [], None),
}
_LISTS: tuple[str, ...] = ("one rule", "two rules", "one rule", "a rule for nobody", "one rule")


def crossed(at: Mapping[str, str], seed: int) -> list[Object]:
    """The `spec` of every direction with all peers and all ports, in an order that the seed decides."""
    shapes = cycle(_LISTS)
    types = {direction: cycle(kinds) for direction, kinds in _TYPES.items()}
    rest = cycle([*_rules_of_any_shape()])
    found = []
    for number, (direction, meant, ports) in enumerate(
        product(DIRECTIONS, peers(at).values(), PORTS_OF_RULES.values())
    ):
        rule = _written({"from" if direction == "Ingress" else "to": meant, "ports": ports})
        more = {
            "one rule": [rule],
            "two rules": [rule, {"ports": [{"port": 81, "protocol": "TCP"}]}],
            "a rule for nobody": [{"ports": [{"port": 1}]}, rule],
        }[next(shapes)]
        rules: Object = {direction.lower(): more, "policyTypes": next(types[direction])}
        if number % 12 == 0:
            rules[direction.lower()] = next(rest)
        found.append(_written(rules))
    random.Random(seed).shuffle(found)
    return found


def _rules_of_any_shape() -> Iterator[Any]:
    yield from (ABSENT, None, [], [{}], [None])


def _written(fields: Mapping[str, Any]) -> Object:
    return {name: value for name, value in fields.items() if value is not ABSENT}


def worlds(at: Mapping[str, str], seed: int, direction: str | None = None) -> Iterator[Sequence[Object]]:
    """All of them in turn, nine at a time, each about another pod, and one that is about several.

    With a direction: only those that are about nothing else, so that packets show what each of them does.
    """
    dice = random.Random(seed)
    specs = crossed(at, seed)
    if direction is not None:
        other = ({*DIRECTIONS} - {direction}).pop()
        specs = [
            spec for spec in specs if other.lower() not in spec and spec.get("policyTypes") == [direction]
        ]
    for number in range(-(-len(specs) // len(PLACES))):
        chosen = specs[number * len(PLACES) :][: len(PLACES)]
        told = [
            _policy(place.split("/")[0], f"p{index}", _of_pod(dice, place), spec)
            for index, (place, spec) in enumerate(zip(PLACES, chosen, strict=False))
        ]
        several = dice.choice(({}, _where("tier", "NotIn", "front"), _where("pod", "In", "a", "c"), None))
        yield [*told, _policy("xyz"[number % 3], "several", several, dice.choice(chosen))]


def _of_pod(dice: random.Random, place: str) -> Object:
    name = place.split("/")[1]
    ways = [_matching(pod=name), _where("pod", "In", name)]
    ways += [_where("tier", "DoesNotExist")] if name not in TIERS else [_matching(tier=TIERS[name])]
    return dice.choice(ways)


def _policy(namespace: str, name: str, selector: Object | None, spec: Object) -> Object:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": selector, **spec},
    }

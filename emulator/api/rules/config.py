"""ConfigMaps, Secrets, Namespaces and Nodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from emulator.api.findings import Finding, Reason, invalid, required
from emulator.api.names import config_key, label_value, qualified_name
from emulator.api.objects import JsonObject
from emulator.api.rules.common import has_form, items, network, one_of, unique

_BIGGEST = 1024 * 1024  # bytes of all values
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_SECRET_KEYS: Mapping[str, tuple[str, ...]] = {
    "kubernetes.io/tls": ("tls.crt", "tls.key"),
    "kubernetes.io/dockerconfigjson": (".dockerconfigjson",),
    "kubernetes.io/dockercfg": (".dockercfg",),
    "kubernetes.io/ssh-auth": ("ssh-privatekey",),
}


def config_map_findings(config_map: JsonObject) -> list[Finding]:
    """What is wrong with a ConfigMap."""
    return list(_contents(config_map, ("data", "binaryData")))


def secret_findings(secret: JsonObject) -> list[Finding]:
    """What is wrong with a Secret."""
    found = list(_contents(secret, ("data", "stringData")))
    given = {*(secret.get("data") or {}), *(secret.get("stringData") or {})}
    for key in _SECRET_KEYS.get(secret.get("type", ""), ()):
        if key not in given:
            found.append(required(("data", key)))
    return found


def _contents(obj: JsonObject, fields: tuple[str, str]) -> Iterator[Finding]:
    size = 0
    for field in fields:
        for key, value in (obj.get(field) or {}).items():
            yield from has_form(key, (field, key), config_key, at_key=True)
            size += len(value) if isinstance(value, str) else 0
    if obj["kind"] == "ConfigMap":
        for key in (obj.get(fields[0]) or {}).keys() & (obj.get(fields[1]) or {}).keys():
            yield invalid((fields[1], key), key, f"duplicate of key present in {fields[0]}")
    if size > _BIGGEST:
        yield Finding((fields[0],), Reason.TOO_LONG, f"Too long: may not be more than {_BIGGEST} bytes")


def node_findings(node: JsonObject) -> list[Finding]:
    """What is wrong with a Node."""
    return list(_node(node.get("spec") or {}))


def _node(spec: JsonObject) -> Iterator[Finding]:
    taints = list(items(spec, "taints", ("spec",)))
    for taint, path in taints:
        yield from has_form(taint.get("key"), (*path, "key"), qualified_name)
        yield from has_form(taint.get("value"), (*path, "value"), label_value)
        yield from one_of(taint, "effect", _EFFECTS, path)
    yield from unique(((taint.get("key"), taint.get("effect")), path) for taint, path in taints)
    for index, cidr in enumerate(spec.get("podCIDRs") or ()):
        yield from network(cidr, ("spec", "podCIDRs", index))

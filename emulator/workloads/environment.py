"""Environment variables of containers, as kubelet makes them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

from emulator.api.objects import JsonObject, Key
from emulator.workloads.references import MissingReferenceError, Objects, field_of, resource_of

_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_REFERENCE = re.compile(r"\$(\$|\([^()$]*\)|.)?", re.DOTALL)


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Replace `$(NAME)` by its value; `$$` is a dollar, and a name without a value stays as it is."""

    def replacement(match: re.Match[str]) -> str:
        after = match[1] or ""
        if after == "$":
            return "$"
        if after.startswith("("):
            return variables.get(after[1:-1], match[0])
        return match[0]

    return _REFERENCE.sub(replacement, text)


def service_variables(services: Iterable[JsonObject]) -> dict[str, str]:
    """`DB_SERVICE_HOST`, `DB_PORT_5432_TCP_ADDR` and so on, for services that have a cluster IP."""
    variables: dict[str, str] = {}
    for service in services:
        spec = service["spec"]
        ports, host = spec.get("ports") or (), spec.get("clusterIP")
        if not ports or host in (None, "", "None"):
            continue
        name = _variable_name(service["metadata"]["name"])
        variables[f"{name}_SERVICE_HOST"] = host
        variables[f"{name}_SERVICE_PORT"] = str(ports[0]["port"])
        for port in ports:
            if port.get("name"):
                variables[f"{name}_SERVICE_PORT_{_variable_name(port['name'])}"] = str(port["port"])
        variables[f"{name}_PORT"] = _url(host, ports[0])
        for port in ports:
            variables.update(_port_variables(name, host, port))
    return variables


def variables_of(pod: JsonObject, container: JsonObject, objects: Objects) -> dict[str, str]:
    """Everything that `container` finds in its environment because of the cluster's objects.

    Raises MissingReferenceError when a ConfigMap, Secret or key that it needs is not there.
    """
    namespace = pod["metadata"]["namespace"]
    links = service_variables(_linked_services(pod, objects))
    variables: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        prefix = source.get("prefix") or ""
        for name, text in _all_keys(source, namespace, objects):
            if _NAME.fullmatch(prefix + name):
                variables[prefix + name] = text
    for entry in container.get("env") or ():
        value = _value_of(entry, variables, links, pod, container, objects)
        if value is not None:
            variables[entry["name"]] = value
    return {**links, **variables}


def data_of(obj: JsonObject) -> dict[str, bytes]:
    """The files of a ConfigMap or Secret."""
    if obj["kind"] == "Secret":
        files = {name: base64.b64decode(value) for name, value in (obj.get("data") or {}).items()}
        return {**files, **{name: text.encode() for name, text in (obj.get("stringData") or {}).items()}}
    files = {name: text.encode() for name, text in (obj.get("data") or {}).items()}
    return {
        **files,
        **{name: base64.b64decode(value) for name, value in (obj.get("binaryData") or {}).items()},
    }


def _linked_services(pod: JsonObject, objects: Objects) -> list[JsonObject]:
    """The API server's service always, those of the pod's namespace unless it does not want them."""
    services = {}
    master = objects.find(Key("Service", "default", "kubernetes"))
    if master is not None:
        services["kubernetes"] = master
    if pod["spec"].get("enableServiceLinks") is not False:
        for service in objects.list("Service", pod["metadata"]["namespace"]):
            services[service["metadata"]["name"]] = service
    return list(services.values())


def _value_of(
    entry: JsonObject,
    earlier: Mapping[str, str],
    links: Mapping[str, str],
    pod: JsonObject,
    container: JsonObject,
    objects: Objects,
) -> str | None:
    """One variable; None where an optional reference leads nowhere."""
    source = entry.get("valueFrom") or {}
    if "fieldRef" in source:
        return field_of(pod, source["fieldRef"]["fieldPath"])
    if "resourceFieldRef" in source:
        return resource_of(container, source["resourceFieldRef"])
    for kind, field in (("ConfigMap", "configMapKeyRef"), ("Secret", "secretKeyRef")):
        if field in source:
            return _key_of(kind, source[field], pod["metadata"]["namespace"], objects)
    return expand(entry.get("value") or "", {**links, **earlier})


def _key_of(kind: str, reference: JsonObject, namespace: str, objects: Objects) -> str | None:
    name, key, optional = reference.get("name", ""), reference["key"], reference.get("optional")
    obj = objects.find(Key(kind, namespace, name))
    if obj is None:
        if optional:
            return None
        raise MissingReferenceError(f'{kind.lower()} "{name}" not found')
    data = data_of(obj)
    if key not in data:
        if optional:
            return None
        raise MissingReferenceError(f"couldn't find key {key} in {kind} {namespace}/{name}")
    return data[key].decode(errors="replace")


def _all_keys(source: JsonObject, namespace: str, objects: Objects) -> Iterator[tuple[str, str]]:
    for kind, field in (("ConfigMap", "configMapRef"), ("Secret", "secretRef")):
        reference = source.get(field)
        if reference is None:
            continue
        obj = objects.find(Key(kind, namespace, reference.get("name", "")))
        if obj is not None:
            for name, value in sorted(data_of(obj).items()):
                yield name, value.decode(errors="replace")
        elif not reference.get("optional"):
            raise MissingReferenceError(f'{kind.lower()} "{reference.get("name", "")}" not found')


def _port_variables(name: str, host: str, port: JsonObject) -> dict[str, str]:
    protocol = port.get("protocol") or "TCP"
    prefix = f"{name}_PORT_{port['port']}_{protocol}"
    return {
        prefix: _url(host, port),
        f"{prefix}_PROTO": protocol.lower(),
        f"{prefix}_PORT": str(port["port"]),
        f"{prefix}_ADDR": host,
    }


def _url(host: str, port: JsonObject) -> str:
    where = f"[{host}]" if ip_address(host).version == 6 else host
    return f"{(port.get('protocol') or 'TCP').lower()}://{where}:{port['port']}"


def _variable_name(name: str) -> str:
    return name.upper().replace("-", "_")

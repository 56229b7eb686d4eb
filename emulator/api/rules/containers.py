"""Containers: names, ports, environment, mounts, probes, resources."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from emulator.api.findings import Finding, Reason, duplicate, forbidden, invalid, required, shown
from emulator.api.names import config_key, dns1123_label, environment_name
from emulator.api.objects import JsonObject, Path
from emulator.api.quantity import parse_quantity
from emulator.api.rules.common import (
    PROTOCOLS,
    address,
    given,
    has_form,
    items,
    not_negative,
    one_of,
    port_name_findings,
    port_number,
    port_or_name,
    unique,
)

_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_HANDLERS = ("exec", "grpc", "httpGet", "tcpSocket")
_PROBES = ("livenessProbe", "readinessProbe", "startupProbe")
_ENV_SOURCES = ("configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef")
_FIELDS = frozenset(
    {
        "metadata.name",
        "metadata.namespace",
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    }
)


def containers_findings(spec: JsonObject, path: Path) -> Iterator[Finding]:
    """What is wrong with the containers of a pod's `spec`."""
    if not spec.get("containers"):
        yield required((*path, "containers"))
    own, init = list(items(spec, "containers", path)), list(items(spec, "initContainers", path))
    volumes = {str(volume.get("name")) for volume, _ in items(spec, "volumes", path)}
    host_network = spec.get("hostNetwork") is True
    for container, here in (*init, *own):
        yield from _container(container, here, volumes, host_network=host_network)
    for container, here in own:
        # Containers may override the pod's policy since 1.34; Always alone keeps an old sidecar's meaning
        # clear.
        yield from one_of(container, "restartPolicy", ("Always", "Never", "OnFailure"), here)
    for container, here in init:
        yield from one_of(container, "restartPolicy", ("Always", "Never", "OnFailure"), here)
        if container.get("restartPolicy") != "Always":
            for probe in given(container, _PROBES):
                yield forbidden(
                    (*here, probe), "may not be set for init containers without restartPolicy=Always"
                )
    yield from unique((container.get("name"), (*here, "name")) for container, here in (*init, *own))
    yield from _host_ports(own)


def _container(
    container: JsonObject, path: Path, volumes: Collection[str], *, host_network: bool
) -> Iterator[Finding]:
    if not container.get("name"):
        yield required((*path, "name"))
    else:
        yield from has_form(container["name"], (*path, "name"), dns1123_label)
    image = container.get("image")
    if not image:
        yield required((*path, "image"))
    elif image != image.strip():
        yield invalid((*path, "image"), image, "must not have leading or trailing whitespace")
    yield from one_of(container, "imagePullPolicy", _PULL_POLICIES, path)
    yield from _ports(container, path, host_network=host_network)
    yield from _environment(container, path)
    yield from _mounts(container, path, volumes)
    yield from _resources(container.get("resources") or {}, (*path, "resources"))
    for name in _PROBES:
        if isinstance(container.get(name), dict):
            yield from _probe(container[name], name, (*path, name))


def _ports(container: JsonObject, path: Path, *, host_network: bool) -> Iterator[Finding]:
    ports = list(items(container, "ports", path))
    for port, here in ports:
        if "containerPort" not in port or port["containerPort"] == 0:
            yield required((*here, "containerPort"))
        else:
            yield from port_number(port, "containerPort", here)
        yield from port_name_findings(port.get("name"), (*here, "name"))
        yield from one_of(port, "protocol", PROTOCOLS, here)
        if port.get("hostPort"):
            yield from port_number(port, "hostPort", here)
            if host_network and port["hostPort"] != port.get("containerPort"):
                yield invalid(
                    (*here, "hostPort"),
                    port["hostPort"],
                    "must match `containerPort` when `hostNetwork` is true",
                )
        if port.get("hostIP"):
            yield from address(port["hostIP"], (*here, "hostIP"))
    yield from unique((port.get("name"), (*here, "name")) for port, here in ports)


def _host_ports(containers: list[tuple[JsonObject, Path]]) -> Iterator[Finding]:
    seen = set()
    for container, path in containers:
        for port, here in items(container, "ports", path):
            if not port.get("hostPort"):
                continue
            key = (port.get("protocol", "TCP"), port.get("hostIP", ""), port["hostPort"])
            if key in seen:
                yield duplicate((*here, "hostPort"), port["hostPort"])
            seen.add(key)


def _environment(container: JsonObject, path: Path) -> Iterator[Finding]:
    for variable, here in items(container, "env", path):
        if not variable.get("name"):
            yield required((*here, "name"))
        else:
            yield from has_form(variable["name"], (*here, "name"), environment_name)
        source = variable.get("valueFrom")
        if not isinstance(source, dict):
            continue
        where = (*here, "valueFrom")
        kinds = given(source, _ENV_SOURCES)
        if variable.get("value"):
            yield invalid(where, None, "may not be specified when `value` is not empty")
        if len(kinds) != 1:
            yield invalid(
                where, None, f"must specify one of: {', '.join(_ENV_SOURCES)}" if not kinds else _ONE_SOURCE
            )
        for kind in ("configMapKeyRef", "secretKeyRef"):
            if kind in kinds:
                yield from _key_reference(source[kind], (*where, kind))
        if "fieldRef" in kinds:
            yield from _field_reference(source["fieldRef"], (*where, "fieldRef"))
    for source, here in items(container, "envFrom", path):
        kinds = given(source, ("configMapRef", "secretRef"))
        if not kinds:
            yield invalid(here, None, "must specify one of: `configMapRef` or `secretRef`")
        elif len(kinds) > 1:
            yield invalid(here, None, _ONE_SOURCE)
        for kind in kinds:
            if not source[kind].get("name"):
                yield required((*here, kind, "name"))


_ONE_SOURCE = "may not have more than one field specified at a time"


def _key_reference(reference: JsonObject, path: Path) -> Iterator[Finding]:
    if not reference.get("name"):
        yield required((*path, "name"))
    if not reference.get("key"):
        yield required((*path, "key"))
    else:
        yield from has_form(reference["key"], (*path, "key"), config_key)


def _field_reference(reference: JsonObject, path: Path) -> Iterator[Finding]:
    field = reference.get("fieldPath")
    if not field:
        yield required((*path, "fieldPath"))
    elif field not in _FIELDS and not field.startswith(("metadata.labels['", "metadata.annotations['")):
        yield invalid(
            (*path, "fieldPath"), field, f"error converting fieldPath: field label not supported: {field}"
        )


def _mounts(container: JsonObject, path: Path, volumes: Collection[str]) -> Iterator[Finding]:
    mounts = list(items(container, "volumeMounts", path))
    for mount, here in mounts:
        if not mount.get("name"):
            yield required((*here, "name"))
        elif mount["name"] not in volumes:
            message = f"Not found: {shown(mount['name'])}"
            yield Finding((*here, "name"), Reason.INVALID, message, "no volume of the pod has this name")
        if not mount.get("mountPath"):
            yield required((*here, "mountPath"))
        sub_path = mount.get("subPath") or ""
        if sub_path.startswith("/"):
            yield invalid((*here, "subPath"), sub_path, "must be a relative path")
        if ".." in sub_path.split("/"):
            yield invalid((*here, "subPath"), sub_path, "must not contain '..'")
    seen = set()
    for mount, here in mounts:
        place = mount.get("mountPath")
        if place and place in seen:
            yield invalid((*here, "mountPath"), place, "must be unique")
        seen.add(place)


def _resources(resources: JsonObject, path: Path) -> Iterator[Finding]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for field, amounts in (("limits", limits), ("requests", requests)):
        for name, amount in amounts.items():
            if parse_quantity(amount) < 0:
                yield invalid((*path, field, name), amount, "must be greater than or equal to 0")
    for name, amount in requests.items():
        if name in limits and parse_quantity(amount) > parse_quantity(limits[name]):
            yield invalid(
                (*path, "requests", name),
                amount,
                f"must be less than or equal to {name} limit of {limits[name]}",
            )


def _probe(probe: JsonObject, name: str, path: Path) -> Iterator[Finding]:
    handlers = given(probe, _HANDLERS)
    if not handlers:
        yield required(path, f"must specify a handler type: {', '.join(_HANDLERS)}")
    for extra in handlers[1:]:
        yield forbidden((*path, extra), "may not specify more than 1 handler type")
    counts = (
        "initialDelaySeconds",
        "timeoutSeconds",
        "periodSeconds",
        "successThreshold",
        "failureThreshold",
    )
    yield from not_negative(probe, counts, path)
    if name != "readinessProbe" and probe.get("successThreshold") not in (None, 0, 1):
        yield invalid((*path, "successThreshold"), probe["successThreshold"], "must be 1")
    for handler in handlers:
        yield from _handler(handler, probe[handler], (*path, handler))


def _handler(handler: str, settings: JsonObject, path: Path) -> Iterator[Finding]:
    match handler:
        case "exec":
            if not settings.get("command"):
                yield required((*path, "command"))
        case "httpGet":
            yield from one_of(settings, "scheme", ("HTTP", "HTTPS"), path)
            yield from port_or_name(settings.get("port"), (*path, "port"))
            for header, here in items(settings, "httpHeaders", path):
                if not header.get("name"):
                    yield required((*here, "name"))
        case "tcpSocket":
            yield from port_or_name(settings.get("port"), (*path, "port"))
        case _:
            yield from port_number(settings, "port", path)

"""The defaults that the API server fills in. What depends on the cluster (addresses, families) is
admission's.

Source: the `SetDefaults_*` functions of Kubernetes' internal API packages. Filling twice changes nothing.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping

from emulator.api.objects import JsonObject, copy_json


def with_defaults(obj: JsonObject) -> JsonObject:
    """A copy of `obj` with the API server's defaults filled in."""
    filled: JsonObject = copy_json(obj)
    fill_defaults(filled)
    return filled


def fill_defaults(obj: JsonObject) -> None:
    """Fill the API server's defaults into `obj` itself."""
    fill = _BY_KIND.get(obj.get("kind", ""))
    if fill is not None:
        fill(obj)


def _set(target: JsonObject, values: JsonObject) -> None:
    for field, value in values.items():
        if target.get(field) is None:
            target[field] = value


def _part(target: JsonObject, field: str) -> JsonObject:
    """The object at `field`, made when it is missing."""
    part = target.get(field)
    if not isinstance(part, dict):
        part = target[field] = {}
    return part


def _items(target: JsonObject, *fields: str) -> Iterator[JsonObject]:
    for field in fields:
        yield from (item for item in target.get(field) or () if isinstance(item, dict))


# Pods


def _pod(pod: JsonObject) -> None:
    _pod_spec(_part(pod, "spec"))
    for container in _items(pod["spec"], "containers", "initContainers"):
        resources = container.get("resources") or {}
        if limits := resources.get("limits"):
            resources["requests"] = {**limits, **(resources.get("requests") or {})}


def _template(spec: JsonObject) -> None:
    template = _part(spec, "template")
    _part(template, "metadata")
    _pod_spec(_part(template, "spec"))


def _pod_spec(spec: JsonObject) -> None:
    _set(
        spec,
        {
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "enableServiceLinks": True,
        },
    )
    if spec.get("securityContext") is None:
        spec["securityContext"] = {}
    if account := spec.get("serviceAccountName") or spec.get("serviceAccount"):
        _set(spec, {"serviceAccountName": account, "serviceAccount": account})
    for container in _items(spec, "initContainers", "containers"):
        _container(container, host_network=spec.get("hostNetwork") is True)
    for volume in _items(spec, "volumes"):
        _volume(volume)


def _container(container: JsonObject, *, host_network: bool) -> None:
    _set(
        container,
        {
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "imagePullPolicy": "Always" if _is_latest(container.get("image", "")) else "IfNotPresent",
        },
    )
    if container.get("resources") is None:
        container["resources"] = {}
    for port in _items(container, "ports"):
        _set(port, {"protocol": "TCP"})
        if host_network and "containerPort" in port:
            _set(port, {"hostPort": port["containerPort"]})
    for variable in _items(container, "env"):
        if field := (variable.get("valueFrom") or {}).get("fieldRef"):
            _set(field, {"apiVersion": "v1"})
    for name in ("livenessProbe", "readinessProbe", "startupProbe"):
        if container.get(name):
            _probe(container[name])
    for handler in (container.get("lifecycle") or {}).values():
        _handler(handler)


def _is_latest(image: str) -> bool:
    name = image.rpartition("/")[2]
    return "@" not in name and (":" not in name or name.endswith(":latest"))


def _probe(probe: JsonObject) -> None:
    _set(probe, {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3})
    _handler(probe)


def _handler(handler: JsonObject | None) -> None:
    if not isinstance(handler, dict):
        return
    if isinstance(handler.get("httpGet"), dict):
        _set(handler["httpGet"], {"path": "/", "scheme": "HTTP"})
    if isinstance(handler.get("grpc"), dict):
        _set(handler["grpc"], {"service": ""})


_FILE_MODE = 0o644


def _volume(volume: JsonObject) -> None:
    if not any(field != "name" for field in volume):
        volume["emptyDir"] = {}
    for source in ("configMap", "secret", "downwardAPI", "projected"):
        if isinstance(volume.get(source), dict):
            _set(volume[source], {"defaultMode": _FILE_MODE})
    for item in _items(volume.get("downwardAPI") or {}, "items"):
        if field := item.get("fieldRef"):
            _set(field, {"apiVersion": "v1"})
    if isinstance(volume.get("hostPath"), dict):
        _set(volume["hostPath"], {"type": ""})


# Workloads


def _deployment(deployment: JsonObject) -> None:
    spec = _part(deployment, "spec")
    _template(spec)
    _set(spec, {"replicas": 1, "revisionHistoryLimit": 10, "progressDeadlineSeconds": 600})
    strategy = _part(spec, "strategy")
    _set(strategy, {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        _set(_part(strategy, "rollingUpdate"), {"maxUnavailable": "25%", "maxSurge": "25%"})


def _replica_set(replica_set: JsonObject) -> None:
    spec = _part(replica_set, "spec")
    _template(spec)
    _set(spec, {"replicas": 1})
    # ReplicaSets without labels of their own take the template's (v1 keeps this; Deployments no longer do
    # it).
    labels = (spec["template"].get("metadata") or {}).get("labels")
    if labels and not _part(replica_set, "metadata").get("labels"):
        replica_set["metadata"]["labels"] = dict(labels)


def _stateful_set(stateful_set: JsonObject) -> None:
    spec = _part(stateful_set, "spec")
    _template(spec)
    _set(spec, {"replicas": 1, "revisionHistoryLimit": 10, "podManagementPolicy": "OrderedReady"})
    strategy = _part(spec, "updateStrategy")
    _set(strategy, {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        _set(_part(strategy, "rollingUpdate"), {"partition": 0})
    _set(
        _part(spec, "persistentVolumeClaimRetentionPolicy"), {"whenDeleted": "Retain", "whenScaled": "Retain"}
    )
    for claim in _items(spec, "volumeClaimTemplates"):
        _set(_part(claim, "spec"), {"volumeMode": "Filesystem"})


def _daemon_set(daemon_set: JsonObject) -> None:
    spec = _part(daemon_set, "spec")
    _template(spec)
    _set(spec, {"revisionHistoryLimit": 10})
    strategy = _part(spec, "updateStrategy")
    _set(strategy, {"type": "RollingUpdate"})
    if strategy["type"] == "RollingUpdate":
        _set(_part(strategy, "rollingUpdate"), {"maxUnavailable": 1, "maxSurge": 0})


def _job(job: JsonObject) -> None:
    spec = _part(job, "spec")
    _template(spec)
    if spec.get("completions") is None and spec.get("parallelism") is None:
        _set(spec, {"completions": 1, "parallelism": 1})
    _set(spec, {"parallelism": 1, "completionMode": "NonIndexed", "suspend": False})
    _set(spec, {"backoffLimit": 6, "podReplacementPolicy": "TerminatingOrFailed"})


# Network


def _service(service: JsonObject) -> None:
    spec = _part(service, "spec")
    _set(spec, {"sessionAffinity": "None", "type": "ClusterIP"})
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        _set(_part(_part(spec, "sessionAffinityConfig"), "clientIP"), {"timeoutSeconds": 10_800})
    for port in _items(spec, "ports"):
        _set(port, {"protocol": "TCP"})
        if port.get("targetPort") in (None, 0, "") and "port" in port:
            port["targetPort"] = port["port"]
    if spec["type"] in ("NodePort", "LoadBalancer"):
        _set(spec, {"externalTrafficPolicy": "Cluster"})
    if spec["type"] in ("NodePort", "LoadBalancer", "ClusterIP"):
        _set(spec, {"internalTrafficPolicy": "Cluster"})
    if spec["type"] == "LoadBalancer":
        _set(spec, {"allocateLoadBalancerNodePorts": True})


def _endpoints(endpoints: JsonObject) -> None:
    for subset in _items(endpoints, "subsets"):
        for port in _items(subset, "ports"):
            _set(port, {"protocol": "TCP"})


def _endpoint_slice(endpoint_slice: JsonObject) -> None:
    for port in _items(endpoint_slice, "ports"):
        _set(port, {"name": "", "protocol": "TCP"})


def _network_policy(policy: JsonObject) -> None:
    spec = _part(policy, "spec")
    if spec.get("podSelector") is None:
        spec["podSelector"] = {}
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", "Egress"] if spec.get("egress") else ["Ingress"]
    for rule in _items(spec, "ingress", "egress"):
        for port in _items(rule, "ports"):
            _set(port, {"protocol": "TCP"})


def _cluster_network_policy(policy: JsonObject) -> None:
    spec = _part(policy, "spec")
    rules = list(_items(spec, "ingress", "egress"))
    for chosen in (_part(spec, "subject"), *(peer for rule in rules for peer in _items(rule, "from", "to"))):
        if chosen.get("pods") is not None:
            _set(_part(chosen, "pods"), {"namespaceSelector": {}})


def _admin_network_policy(policy: JsonObject) -> None:
    for rule in _items(_part(policy, "spec"), "ingress", "egress"):
        for port in _items(rule, "ports"):
            for field in ("portNumber", "portRange"):
                if port.get(field) is not None:
                    _set(_part(port, field), {"protocol": "TCP"})


def _ingress_class(ingress_class: JsonObject) -> None:
    if parameters := (ingress_class.get("spec") or {}).get("parameters"):
        _set(parameters, {"scope": "Cluster"})


# The rest


def _namespace(namespace: JsonObject) -> None:
    metadata = _part(namespace, "metadata")
    if name := metadata.get("name"):
        _part(metadata, "labels")["kubernetes.io/metadata.name"] = name
    _set(_part(namespace, "spec"), {"finalizers": ["kubernetes"]})


def _secret(secret: JsonObject) -> None:
    """`stringData` is write-only: it becomes `data`."""
    _set(secret, {"type": "Opaque"})
    plain = secret.pop("stringData", None) or {}
    if plain:
        encoded = {key: b64encode(str(value).encode()).decode() for key, value in plain.items()}
        secret["data"] = {**(secret.get("data") or {}), **encoded}


_BY_KIND: Mapping[str, Callable[[JsonObject], None]] = {
    "AdminNetworkPolicy": _admin_network_policy,
    "BaselineAdminNetworkPolicy": _admin_network_policy,
    "ClusterNetworkPolicy": _cluster_network_policy,
    "DaemonSet": _daemon_set,
    "Deployment": _deployment,
    "EndpointSlice": _endpoint_slice,
    "Endpoints": _endpoints,
    "IngressClass": _ingress_class,
    "Job": _job,
    "Namespace": _namespace,
    "NetworkPolicy": _network_policy,
    "Pod": _pod,
    "ReplicaSet": _replica_set,
    "Secret": _secret,
    "Service": _service,
    "StatefulSet": _stateful_set,
}

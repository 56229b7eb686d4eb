"""The schema and the rules behind it, on sound objects and on objects with one mistake."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.api.defaults import with_defaults
from emulator.api.findings import Reason
from emulator.api.kinds import KINDS
from emulator.api.names import config_key, dns1123_subdomain, port_name, qualified_name
from emulator.api.objects import JsonObject, Path, copy_json, render_path
from emulator.api.quantity import is_quantity, parse_quantity
from emulator.api.schema import kubernetes_version, shape_of
from emulator.api.validate import check, problems_of
from tests.unit.api.samples import sample, samples

ids = [f"{obj['kind']}-{obj['metadata']['name']}" for obj in samples()]


@pytest.mark.parametrize("obj", samples(), ids=ids)
def test_sound_objects_have_no_findings(obj: JsonObject) -> None:
    assert [str(finding) for finding in problems_of(obj)] == []


@pytest.mark.parametrize("obj", samples(), ids=ids)
def test_defaults_are_sound_and_complete(obj: JsonObject) -> None:
    filled = with_defaults(obj)
    assert [str(finding) for finding in problems_of(filled)] == []
    assert with_defaults(filled) == filled


def test_every_stored_kind_has_a_schema_and_a_sample() -> None:
    sampled = {obj["kind"] for obj in samples()} | {"Event", "Lease", "Topology"}
    assert {kind.kind for kind in KINDS} == sampled
    assert all(shape_of(kind.api_version, kind.kind) for kind in KINDS)
    assert kubernetes_version().startswith("v1.")


def put(obj: JsonObject, path: str, value: Any) -> JsonObject:
    """The object with one value set; `...` removes the field."""
    changed: JsonObject = copy_json(obj)
    *parents, last = [int(part) if part.isdigit() else part for part in path.split("/")]
    target: Any = changed
    for part in parents:
        target = target[part] if isinstance(part, int) else target.setdefault(part, {})
    if value is ...:
        del target[last]
    else:
        target[last] = value
    return changed


POD = "Pod"
SERVICE = "Service"
ONE_MISTAKE = [
    (POD, "metadata/name", "Web", "metadata.name: Invalid value"),
    (POD, "metadata/namespace", "a.b", "metadata.namespace: Invalid value"),
    (POD, "metadata/labels", {"a/b/c": "d"}, "metadata.labels[a/b/c]: Invalid value"),
    (POD, "spec/containers/0/ports/0/containerPort", 0, "containerPort: Required value"),
    (POD, "spec/containers/0/ports/0/containerPort", 65536, "must be between 1 and 65535"),
    (POD, "spec/containers/0/ports/0/protocol", "tcp", 'Unsupported value: "tcp"'),
    (POD, "spec/containers/0/ports/0/name", "dns-udp", 'Duplicate value: "dns-udp"'),
    (POD, "spec/containers/0/ports/1/hostIP", "localhost", "must be a valid IP address"),
    (POD, "spec/containers/0/imagePullPolicy", "always", 'Unsupported value: "always"'),
    (POD, "spec/containers/0/image", " nginx", "leading or trailing whitespace"),
    (POD, "spec/containers/0/env/0/name", "A=B", "valid environment variable name"),
    (POD, "spec/containers/0/env/2/value", "x", "may not be specified when `value` is not empty"),
    (POD, "spec/containers/0/env/2/valueFrom/fieldRef/fieldPath", "spec.nope", "field label not supported"),
    (POD, "spec/containers/0/envFrom/0", {}, "must specify one of: `configMapRef` or `secretRef`"),
    (POD, "spec/containers/0/volumeMounts/0/mountPath", "/etc/app", "must be unique"),
    (POD, "spec/containers/0/volumeMounts/0/subPath", "../x", "must not contain '..'"),
    (POD, "spec/containers/0/resources/requests/cpu", "2", "must be less than or equal to cpu limit"),
    (POD, "spec/containers/0/livenessProbe/successThreshold", 2, "must be 1"),
    (POD, "spec/containers/0/livenessProbe/tcpSocket", ..., "must specify a handler type"),
    (POD, "spec/containers/0/readinessProbe/httpGet/port", "80", "must contain at least one letter"),
    (POD, "spec/initContainers/0/readinessProbe", {"exec": {"command": ["a"]}}, "Forbidden"),
    (POD, "spec/initContainers/0/name", "web", 'Duplicate value: "web"'),
    (POD, "spec/dnsConfig", {}, "must provide at least one DNS nameserver"),
    (POD, "spec/dnsPolicy", "clusterFirst", 'Unsupported value: "clusterFirst"'),
    (POD, "spec/hostname", "a.b", "spec.hostname: Invalid value"),
    (POD, "spec/hostAliases/0/ip", "foo", "must be a valid IP address"),
    (POD, "spec/tolerations/0", {"operator": "Exists", "value": "x"}, "value must be empty"),
    (POD, "spec/tolerations/1/effect", "NoSchedule", "effect must be 'NoExecute'"),
    (
        POD,
        "spec/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution/0/weight",
        0,
        "range 1-100",
    ),
    (POD, "spec/topologySpreadConstraints/0/maxSkew", 0, "must be greater than zero"),
    (POD, "spec/topologySpreadConstraints/0/whenUnsatisfiable", "Never", "Unsupported value"),
    (POD, "spec/volumes/2/name", "data", 'Duplicate value: "data"'),
    (POD, "spec/volumes/0/configMap", {"name": "x"}, "may not specify more than 1 volume type"),
    (POD, "spec/volumes/1/configMap/items/0/path", "/abs", "must be a relative path"),
    (SERVICE, "spec/type", "NodePrt", 'Unsupported value: "NodePrt"'),
    (SERVICE, "spec/ports/1/name", "sql", 'Duplicate value: "sql"'),
    (SERVICE, "spec/ports/1/name", "SQL", "spec.ports[1].name: Invalid value"),
    (SERVICE, "spec/ports/1/protocol", "TCP", "Duplicate value"),
    (SERVICE, "spec/ports/0/targetPort", 0, "must be between 1 and 65535"),
    (SERVICE, "spec/ports/0/targetPort", "8080", "must contain at least one letter"),
    (SERVICE, "spec/ports/0/targetPort", 1.5, "expected an integer or a string"),
    (SERVICE, "spec/ports/0/nodePort", 29999, "The range of valid ports is 30000-32767"),
    (SERVICE, "spec/ports/1/nodePort", 30432, None),
    (SERVICE, "spec/ports/2/nodePort", 30432, "Duplicate value"),
    (SERVICE, "spec/ipFamilies", ["IPv4", "IPv4"], 'Duplicate value: "IPv4"'),
    (SERVICE, "spec/ipFamilies", ["ipv4"], 'Unsupported value: "ipv4"'),
    (SERVICE, "spec/ipFamilyPolicy", "SingleStack", "when multiple IP families are specified"),
    (SERVICE, "spec/ipFamilyPolicy", ..., 'Invalid value: "SingleStack": must be'),
    (
        SERVICE,
        "spec/clusterIP",
        "fd00::5",
        'spec.clusterIP: Invalid value: "fd00::5": expected an IPv4 value',
    ),
    (SERVICE, "spec/clusterIP", "none", "must be empty, 'None', or a valid IP address"),
    (SERVICE, "spec/clusterIP", "None", "may not be set to 'None' for LoadBalancer services"),
    (SERVICE, "spec/clusterIPs", ["10.96.0.1", "10.96.0.2"], "no more than one IP for each IP family"),
    (SERVICE, "spec/sessionAffinity", "None", "must not be set when session affinity is None"),
    (SERVICE, "spec/externalIPs", ["127.0.0.1"], "loopback"),
    (SERVICE, "spec/loadBalancerSourceRanges", ["198.51.100.0"], "must be a valid CIDR value"),
    (SERVICE, "spec/healthCheckNodePort", 30100, None),
    (SERVICE, "spec/trafficDistribution", "PreferFar", "Unsupported value"),
    ("Endpoints", "subsets/0/addresses/0/ip", "127.0.0.1", "may not be in the loopback range"),
    ("Endpoints", "subsets/0/addresses", [], "must specify `addresses` or `notReadyAddresses`"),
    ("ServiceCIDR", "spec/cidrs", [], "at least one CIDR required"),
    ("ServiceCIDR", "spec/cidrs", ["10.97.0.1/24"], "must be a valid CIDR value"),
    ("ServiceCIDR", "spec/cidrs", ["fd00:0::/112"], 'must be in canonical form ("fd00::/112")'),
    ("ServiceCIDR", "spec/cidrs", ["10.97.0.0/24", "10.98.0.0/24"], "no more than one IP for each IP family"),
    ("ServiceCIDR", "spec/cidrs", ["10.97.0.0/24", "fd00::/112", "10.98.0.0/24"], "up to 2 values"),
    ("IPAddress", "metadata/name", "db", "must be a valid IP address"),
    ("IPAddress", "metadata/name", "fd00::0:5", 'must be in canonical form ("fd00::5")'),
    ("IPAddress", "spec/parentRef/name", ..., "spec.parentRef.name: Required value"),
    ("EndpointSlice", "addressType", "IPv4", "must be a valid IPv4 address"),
    ("EndpointSlice", "addressType", ..., "addressType: Required value"),
    ("EndpointSlice", "endpoints/0/addresses", [], "must contain at least 1 address"),
    ("ConfigMap", "data", {"a b": ""}, "a valid config key must consist of"),
    ("ConfigMap", "binaryData", {"80": "aGk="}, "duplicate of key present in data"),
    ("Secret", "type", "kubernetes.io/tls", "data[tls.crt]: Required value"),
    ("Secret", "data", {"a": "not base64"}, "illegal base64 data"),
    ("Deployment", "spec/replicas", -1, "must be greater than or equal to 0"),
    ("Deployment", "spec/selector", {}, "empty selector is invalid"),
    ("Deployment", "spec/selector/matchExpressions/0/operator", "notin", 'Unsupported value: "notin"'),
    ("Deployment", "spec/selector/matchExpressions/0/values", [], "must be specified when `operator` is"),
    (
        "Deployment",
        "spec/strategy/type",
        "Recreate",
        "may not be specified when strategy `type` is 'Recreate'",
    ),
    ("Deployment", "spec/strategy/rollingUpdate/maxSurge", 0, "may not be 0 when `maxSurge` is 0"),
    ("Deployment", "spec/strategy/rollingUpdate/maxSurge", "10", "a valid percent string"),
    (
        "Deployment",
        "spec/template/metadata/labels",
        {"app": "x"},
        "`selector` does not match template `labels`",
    ),
    ("StatefulSet", "spec/podManagementPolicy", "parallel", 'Unsupported value: "parallel"'),
    ("StatefulSet", "spec/volumeClaimTemplates", [], 'Not found: "data"'),
    ("DaemonSet", "spec/template/spec/containers/0/ports/0/hostPort", 9101, "must match `containerPort`"),
    ("Job", "spec/completions", ..., "when completion mode is Indexed"),
    ("Job", "spec/selector", {"matchLabels": {"a": "b"}}, "`selector` not auto-generated"),
    ("Job", "spec/template/spec/restartPolicy", "Always", 'Unsupported value: "Always"'),
    (
        "NetworkPolicy",
        "spec/ingress/0/ports/1/endPort",
        80,
        "may not be specified when `port` is non-numeric",
    ),
    (
        "NetworkPolicy",
        "spec/ingress/0/ports/3/endPort",
        80,
        "may not be specified when `port` is not specified",
    ),
    (
        "NetworkPolicy",
        "spec/ingress/0/from/1/podSelector",
        {},
        "may not specify both ipBlock and another peer",
    ),
    ("NetworkPolicy", "spec/ingress/0/from/0", {}, "must specify a peer"),
    (
        "NetworkPolicy",
        "spec/ingress/0/from/1/ipBlock/except",
        ["10.0.0.0/8"],
        "must be a strict subset of `cidr`",
    ),
    ("NetworkPolicy", "spec/ingress/0/from/1/ipBlock/cidr", "10.0.0.0", "must be a valid CIDR value"),
    ("Ingress", "spec/rules/0/host", "192.0.2.1", "must be a DNS name, not an IP address"),
    ("Ingress", "spec/rules/0/host", "a.*.com", "spec.rules[0].host: Invalid value"),
    ("Ingress", "spec/rules/0/http/paths/0/path", "a", "must be an absolute path"),
    ("Ingress", "spec/rules/0/http/paths/0/backend/service/port/name", "http", "cannot set both port name"),
    ("Ingress", "spec/rules/0/http/paths/0/backend", {}, "resource or service backend is required"),
    ("IngressClass", "spec/controller", "nginx", "must be a domain-prefixed path"),
    ("Node", "spec/taints/0/effect", "NoRun", 'Unsupported value: "NoRun"'),
]


@pytest.mark.parametrize(("kind", "path", "value", "message"), ONE_MISTAKE)
def test_one_mistake(kind: str, path: str, value: Any, message: str | None) -> None:
    findings = [str(finding) for finding in problems_of(put(sample(kind), path, value))]
    if message is None:
        assert findings == []
    else:
        assert any(message in finding for finding in findings), findings


def test_unknown_fields_are_dropped_and_told() -> None:
    checked = check(put(sample("Service"), "spec/selectr", {"a": "b"}))
    (finding,) = checked.findings
    assert (finding.reason, finding.path, finding.hint, finding.at_key) == (
        Reason.UNKNOWN,
        ("spec", "selectr"),
        'did you mean "selector"?',
        True,
    )
    assert "selectr" not in checked.obj["spec"]


def test_null_is_absence() -> None:
    obj = put(put(sample("Service"), "spec/externalName", None), "metadata/annotations", {"a": None})
    checked = check(obj)
    assert checked.findings == ()
    assert "externalName" not in checked.obj["spec"]
    assert checked.obj["metadata"]["annotations"] == {"a": ""}
    assert (
        check(put(sample("EndpointSlice"), "endpoints/0/addresses", None)).obj["endpoints"][0]["addresses"]
        == []
    )
    assert "expected a string, got null" in str(
        problems_of(put(sample("Pod"), "spec/containers/0/args/0", None))[0]
    )


def test_numbers() -> None:
    checked = check(put(sample("Deployment"), "spec/replicas", 2.0))
    assert checked.findings == ()
    assert checked.obj["spec"]["replicas"] == 2
    assert isinstance(checked.obj["spec"]["replicas"], int)
    assert "must fit into int32" in str(problems_of(put(sample("Deployment"), "spec/replicas", 2**31))[0])
    assert "got a number 2.5" in str(problems_of(put(sample("Deployment"), "spec/replicas", 2.5))[0])
    assert "got a boolean true" in str(problems_of(put(sample("Deployment"), "spec/replicas", True))[0])


@pytest.mark.parametrize(
    "text", ["0", "100m", "0.5", ".5", "1e3", "1E3", "128Mi", "1Gi", "5k", "-1", "+1", "12E"]
)
def test_quantities(text: str) -> None:
    assert is_quantity(text)
    parse_quantity(text)


@pytest.mark.parametrize("text", ["", "m", "1 Gi", "128MB", "1K", "1mi", "1e", "one", "1.2.3"])
def test_texts_that_are_no_quantities(text: str) -> None:
    assert not is_quantity(text)
    with pytest.raises(ValueError, match="is not a quantity"):
        parse_quantity(text)


def test_quantities_compare() -> None:
    assert parse_quantity("1Gi") > parse_quantity("1G") > parse_quantity("999M")
    assert parse_quantity("100m") == parse_quantity("0.1") == parse_quantity("1e-1")


def test_names() -> None:
    assert not dns1123_subdomain("a.b-c.d1")
    assert dns1123_subdomain("a..b")
    assert dns1123_subdomain("x" * 254)
    assert not qualified_name("example.com/My_Key.1")
    assert qualified_name("Example.com/key")
    assert qualified_name("/key")
    assert qualified_name("x" * 64)
    assert not port_name("http-2")
    assert port_name("a--b")
    assert port_name("80")
    assert not config_key(".hidden")
    assert config_key("..")


# Whatever is in an object, checking it and filling in defaults ends in findings, never in an exception.

SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 70_000), st.just(1.5), st.sampled_from(["", "x", "-"])
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "port", "x"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def paths_of(value: Any, path: Path = ()) -> list[Path]:
    found = [path] if path else []
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in entries:
        found += paths_of(item, (*path, key))
    return found


PLACES = [
    (obj, path) for obj in samples() for path in paths_of(obj) if path not in (("kind",), ("apiVersion",))
]


@settings(max_examples=400, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(place=st.sampled_from(PLACES), value=JSON)
def test_any_value_anywhere_ends_in_findings(place: tuple[JsonObject, Path], value: Any) -> None:
    obj, path = place
    changed = copy_json(obj)
    target = changed
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    checked = check(changed)
    for finding in checked.findings:
        assert str(finding)
        assert render_path(finding.path)
    if not checked.findings:
        with_defaults(checked.obj)

"""`apply` as kubectl means it: what the manifest dropped goes, what the server allocated stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from emulator.api.apply import LAST_APPLIED, Result
from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject, Key, copy_json
from emulator.api.requests import WriteOptions
from emulator.api.resources import Resources
from emulator.api.store import Store
from tests.unit.api.samples import sample, samples
from tests.unit.api.test_store import make_store


def allocate(old: JsonObject | None, new: JsonObject) -> JsonObject:
    """Stands for the cluster's admission: addresses and node ports, kept over updates."""
    if new["kind"] != "Service" or new["spec"]["type"] == "ExternalName":
        return new
    had = old["spec"]["clusterIPs"] if old and old["spec"].get("clusterIPs") else ["10.96.0.77", "fd00::77"]
    first = new["spec"].get("clusterIP") or had[0]
    spec = {
        **new["spec"],
        "clusterIP": first,
        "clusterIPs": new["spec"].get("clusterIPs") or [first, *had[1:]],
    }
    if first == "None":
        spec["clusterIPs"] = ["None"]
    else:
        spec.setdefault("ipFamilyPolicy", "PreferDualStack")
    if spec["type"] == "NodePort":
        spec["ports"] = [{"nodePort": 30000 + port["port"], **port} for port in spec["ports"]]
    return {**new, "spec": spec}


class Applier:
    def __init__(self) -> None:
        self.store: Store = make_store(admit=allocate)
        self._resources = Resources(self.store)

    def __call__(self, manifest: JsonObject) -> str:
        return str(self._resources.apply(manifest, WriteOptions())[0])

    def get(self, kind: str, name: str) -> JsonObject:
        return self.store.get(Key(kind, "shop", name))


@pytest.fixture
def apply() -> Applier:
    return Applier()


def service(*ports: JsonObject, **spec: Any) -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "db", "namespace": "shop"},
        "spec": {"ports": list(ports), **spec},
    }


def test_created_unchanged_configured(apply: Applier) -> None:
    manifest = service({"port": 80})
    assert apply(manifest) == Result.CREATED
    version = apply.store.resource_version
    assert apply(manifest) == Result.UNCHANGED
    assert apply.store.resource_version == version
    assert apply(service({"port": 81})) == Result.CONFIGURED
    assert [port["port"] for port in apply.get("Service", "db")["spec"]["ports"]] == [81]


@pytest.mark.parametrize(
    "obj", [o for o in samples() if o["kind"] not in ("Namespace", "Node", "IngressClass")]
)
def test_applying_twice_changes_nothing(apply: Applier, obj: JsonObject) -> None:
    before = copy_json(obj)
    assert apply(obj) == "created"
    assert apply(obj) == "unchanged"
    assert obj == before


def test_dropped_fields_go(apply: Applier) -> None:
    manifest = sample("Deployment")
    manifest["metadata"]["labels"] = {"a": "1", "b": "2"}
    manifest["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "X", "value": "1"}]
    manifest["spec"]["minReadySeconds"] = 3
    apply(manifest)
    changed = copy_json(manifest)
    del changed["metadata"]["labels"]["b"]
    del changed["spec"]["template"]["spec"]["containers"][0]["env"]
    del changed["spec"]["minReadySeconds"]
    assert apply(changed) == "configured"
    stored = apply.get("Deployment", "web")
    assert stored["metadata"]["labels"] == {"a": "1"}
    assert "minReadySeconds" not in stored["spec"]
    assert "env" not in stored["spec"]["template"]["spec"]["containers"][0]


def test_what_others_set_stays(apply: Applier) -> None:
    manifest = sample("Deployment")
    del manifest["spec"]["replicas"]
    apply(manifest)
    stored = apply.get("Deployment", "web")
    metadata = {**stored["metadata"], "labels": {"theirs": "yes"}}
    apply.store.replace({**stored, "metadata": metadata, "spec": {**stored["spec"], "replicas": 7}})
    assert apply(manifest) == "unchanged"
    manifest["spec"]["minReadySeconds"] = 1
    assert apply(manifest) == "configured"
    stored = apply.get("Deployment", "web")
    assert (stored["spec"]["replicas"], stored["metadata"]["labels"]) == (7, {"theirs": "yes"})


def test_allocated_addresses_and_ports_stay(apply: Applier) -> None:
    apply(service({"port": 80}, type="NodePort"))
    first = apply.get("Service", "db")["spec"]
    assert (first["clusterIP"], first["ports"][0]["nodePort"]) == ("10.96.0.77", 30080)
    apply(service({"port": 80, "targetPort": 8080}, type="NodePort", selector={"a": "b"}))
    second = apply.get("Service", "db")["spec"]
    assert (second["clusterIP"], second["ports"][0]["nodePort"]) == ("10.96.0.77", 30080)
    assert second["ports"][0]["targetPort"] == 8080


def test_a_node_port_is_given_back_with_the_type(apply: Applier) -> None:
    apply(service({"port": 80}, type="NodePort"))
    assert apply(service({"port": 80})) == "configured"
    spec = apply.get("Service", "db")["spec"]
    assert spec["type"] == "ClusterIP"
    assert "nodePort" not in spec["ports"][0]
    assert "externalTrafficPolicy" not in spec


def test_a_cluster_ip_stays_when_the_manifest_drops_it(apply: Applier) -> None:
    apply(service({"port": 80}, clusterIP="10.96.0.5"))
    assert apply(service({"port": 80})) == "configured"
    spec = apply.get("Service", "db")["spec"]
    assert (spec["clusterIP"], spec["clusterIPs"]) == ("10.96.0.5", ["10.96.0.5", "fd00::77"])


def test_a_service_becomes_an_external_name(apply: Applier) -> None:
    apply(service({"port": 80}, type="NodePort"))
    apply(service({"port": 80}, type="ExternalName", externalName="db.example.com"))
    spec = apply.get("Service", "db")["spec"]
    assert not {"clusterIP", "clusterIPs", "internalTrafficPolicy", "externalTrafficPolicy"} & set(spec)


def test_jobs_can_be_applied_again(apply: Applier) -> None:
    job = sample("Job")
    apply(job)
    job["spec"]["parallelism"] = 2
    assert apply(job) == "configured"
    job["spec"]["template"]["spec"]["containers"][0]["image"] = "other"
    with pytest.raises(ApiError, match=r"spec\.template: Invalid value: .*field is immutable"):
        apply(job)


def test_secrets_given_as_plain_text(apply: Applier) -> None:
    secret = sample("Secret")
    apply(secret)
    assert apply(secret) == "unchanged"
    secret["stringData"] = {"password": "other"}
    apply(secret)
    assert apply.get("Secret", "keys")["data"]["password"] == "b3RoZXI="


def test_objects_created_otherwise_can_be_applied(apply: Applier) -> None:
    apply.store.create(sample("ConfigMap"))
    manifest = sample("ConfigMap")
    assert apply(manifest) == "configured"
    assert LAST_APPLIED in apply.get("ConfigMap", "settings")["metadata"]["annotations"]
    assert apply(manifest) == "unchanged"


def test_refusals(apply: Applier) -> None:
    with pytest.raises(ApiError, match='no matches for kind "Gadget"'):
        apply({"apiVersion": "v1", "kind": "Gadget", "metadata": {"name": "a"}})
    with pytest.raises(ApiError, match='namespaces "nowhere" not found'):
        apply({**service({"port": 80}), "metadata": {"name": "a", "namespace": "nowhere"}})
    apply(service({"port": 80}))
    with pytest.raises(ApiError, match="may not change once set"):
        apply(service({"port": 80}, clusterIP="10.96.0.9"))
    spoilt = apply.get("Service", "db")
    annotations = {LAST_APPLIED: "not json"}
    apply.store.replace({**spoilt, "metadata": {**spoilt["metadata"], "annotations": annotations}})
    assert apply(service({"port": 80})) == "configured"


def test_generated_names_create_each_time(apply: Applier, tmp_path: Path) -> None:
    manifest = sample("Job")
    manifest["metadata"] = {"generateName": "once-", "namespace": "shop"}
    assert [apply(manifest), apply(manifest)] == ["created", "created"]
    assert len(apply.store.list("Job")) == 2


def test_what_is_remarkable_only_with_the_clusters_part() -> None:
    def six(_old: JsonObject | None, new: JsonObject) -> JsonObject:
        return {**new, "spec": {**new["spec"], "ipFamilies": ["IPv6"]}} if new["kind"] == "Service" else new

    spec = {
        "type": "LoadBalancer",
        "ports": [{"port": 80}],
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
    }
    manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"}}
    resources = Resources(make_store(admit=six))
    for _ in range(2):
        _, answer = resources.apply({**manifest, "spec": spec}, WriteOptions())
        (warning,) = answer.warnings
        assert warning.endswith("10.0.0.0/8 has no effect: the Service is not IPv4")

"""The store: versions, conflicts, deletion, namespaces, admission."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import count
from typing import Any

import pytest

from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject, Key, copy_json
from emulator.api.selectors import parse, parse_fields
from emulator.api.store import Store
from tests.unit.api.samples import sample, samples

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


def make_store(**options: Any) -> Store:
    numbers = count(1)
    store = Store(now=lambda: NOW, new_uid=lambda: f"uid-{next(numbers)}", **options)
    for name in ("default", "shop"):
        store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return store


@pytest.fixture
def store() -> Store:
    return make_store()


def config(name: str = "a", namespace: str = "shop", **data: str) -> JsonObject:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def pod(name: str = "web", node: str = "") -> JsonObject:
    spec: JsonObject = {"containers": [{"name": "web", "image": "nginx"}]}
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop"}, "spec": spec}


def refused(code: int, reason: str) -> Any:
    class Expectation:
        def __enter__(self) -> Expectation:
            return self

        def __exit__(
            self, kind: type[BaseException] | None, error: BaseException | None, _trace: object
        ) -> bool:
            assert isinstance(error, ApiError), "nothing was refused"
            self.error = error
            assert (error.code, error.reason) == (code, reason), error
            return True

    return Expectation()


def test_create_fills_in_what_the_server_owns(store: Store) -> None:
    given = config(x="1")
    before = copy_json(given)
    stored = store.create(given)
    assert given == before
    assert stored["metadata"] == {
        "name": "a",
        "namespace": "shop",
        "uid": "uid-3",
        "creationTimestamp": "2026-01-31T12:00:00Z",
        "resourceVersion": "3",
    }
    assert store.get(Key("ConfigMap", "shop", "a")) is stored
    assert store.resource_version == 3


def test_every_sample_can_be_stored_and_replaced_without_a_change(store: Store) -> None:
    for obj in samples():
        if obj["metadata"]["name"] == "shop":
            continue
        stored = store.create(obj)
        version = store.resource_version
        assert store.replace(stored) is stored
        assert store.resource_version == version


def test_names_are_generated(store: Store) -> None:
    obj = config()
    obj["metadata"] = {"generateName": "job-", "namespace": "shop"}
    first, second = store.create(obj), store.create(obj)
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert first["metadata"]["name"].startswith("job-")
    assert len(first["metadata"]["name"]) == 9
    obj["metadata"] = {"namespace": "shop"}
    with refused(400, "BadRequest"):
        store.create(obj)


def test_create_refusals(store: Store) -> None:
    store.create(config())
    with refused(409, "AlreadyExists") as caught:
        store.create(config())
    assert caught.error.message == 'configmaps "a" already exists'
    with refused(404, "NotFound") as caught:
        store.create(config(namespace="nowhere"))
    assert caught.error.message == 'namespaces "nowhere" not found'
    with refused(404, "NotFound"):
        store.create({**config(), "apiVersion": "v2"})


def test_status_of_an_error() -> None:
    with refused(404, "NotFound") as caught:
        make_store().get(Key("Deployment", "shop", "web"))
    assert caught.error.status() == {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": 'deployments.apps "web" not found',
        "reason": "NotFound",
        "details": {"name": "web", "group": "apps", "kind": "deployments"},
        "code": 404,
    }
    assert str(ApiError.from_status(caught.error.status())) == str(caught.error)


def test_replace_keeps_identity_and_checks_the_version(store: Store) -> None:
    old = store.create(config(x="1"))
    new = store.replace({**old, "data": {"x": "2"}})
    assert new["metadata"]["uid"] == old["metadata"]["uid"]
    assert new["metadata"]["resourceVersion"] == "4"
    with refused(409, "Conflict") as caught:
        store.replace({**old, "data": {"x": "3"}})
    assert "the object has been modified" in caught.error.message
    assert store.replace(config(x="4"))["data"] == {"x": "4"}
    with refused(404, "NotFound"):
        store.replace(config("b"))
    with refused(409, "Conflict"):
        store.replace({**config(), "metadata": {**config()["metadata"], "uid": "another"}})


def test_generation_counts_changes_of_the_spec(store: Store) -> None:
    deployment = store.create(sample("Deployment"))
    assert deployment["metadata"]["generation"] == 1
    labelled = store.replace({**deployment, "metadata": {**deployment["metadata"], "labels": {"a": "b"}}})
    assert labelled["metadata"]["generation"] == 1
    scaled = store.replace({**labelled, "spec": {**labelled["spec"], "replicas": 9}})
    assert scaled["metadata"]["generation"] == 2
    done = store.replace_status({**scaled, "status": {"observedGeneration": 2}})
    assert done["metadata"]["generation"] == 2


def test_status_is_written_apart(store: Store) -> None:
    stored = store.create({**pod(), "status": {"phase": "Running"}})
    assert stored["status"] == {"phase": "Pending"}
    running = store.replace_status(
        {**pod("web"), "spec": {}, "status": {"phase": "Running", "podIP": "10.1.1.1"}}
    )
    assert running["status"]["podIP"] == "10.1.1.1"
    assert running["spec"] == stored["spec"]
    assert store.replace({**running, "status": {}})["status"] == running["status"]
    node = store.create({**sample("Node"), "status": {"addresses": []}})
    assert node["status"] == {"addresses": []}


def test_pods_with_a_node_end_gracefully(store: Store) -> None:
    store.create(pod(node="worker-1"))
    key = Key("Pod", "shop", "web")
    marked = store.delete(key)
    assert marked["metadata"]["deletionTimestamp"] == "2026-01-31T12:00:30Z"
    assert marked["metadata"]["deletionGracePeriodSeconds"] == 30
    version = store.resource_version
    assert store.delete(key) is store.find(key)
    assert store.resource_version == version
    assert store.delete(key, grace_seconds=5)["metadata"]["deletionGracePeriodSeconds"] == 5
    store.delete(key, grace_seconds=0)
    assert store.find(key) is None


def test_pods_without_a_node_go_at_once(store: Store) -> None:
    store.create(pod())
    store.delete(Key("Pod", "shop", "web"))
    assert store.list("Pod") == []
    store.create(pod(node="worker-1"))
    store.replace_status({**pod(), "status": {"phase": "Succeeded"}})
    store.delete(Key("Pod", "shop", "web"))
    assert store.list("Pod") == []


def test_deletion_preconditions(store: Store) -> None:
    stored = store.create(config())
    key = Key("ConfigMap", "shop", "a")
    with refused(409, "Conflict"):
        store.delete(key, uid="another")
    with refused(409, "Conflict"):
        store.delete(key, resource_version="1")
    store.delete(key, uid=stored["metadata"]["uid"])
    with refused(404, "NotFound"):
        store.delete(key)


def test_finalizers_hold_an_object(store: Store) -> None:
    obj = config()
    obj["metadata"]["finalizers"] = ["acme.io/hold"]
    store.create(obj)
    key = Key("ConfigMap", "shop", "a")
    marked = store.delete(key)
    assert "deletionTimestamp" in marked["metadata"]
    freed = {f: v for f, v in marked["metadata"].items() if f != "finalizers"}
    store.replace({**marked, "metadata": freed})
    assert store.find(key) is None


def test_namespaces_take_their_contents_along(store: Store) -> None:
    store.create(config())
    store.create(pod(node="worker-1"))
    store.create(pod("unplaced"))
    marked = store.delete(Key("Namespace", "", "shop"))
    assert marked["status"]["phase"] == "Terminating"
    assert store.list("ConfigMap") == []
    assert [p["metadata"]["name"] for p in store.list("Pod")] == ["web"]
    with refused(403, "Forbidden") as caught:
        store.create(config())
    assert "because it is being terminated" in caught.error.message
    store.delete(Key("Pod", "shop", "web"), grace_seconds=0)
    assert store.find(Key("Namespace", "", "shop")) is None
    with refused(403, "Forbidden"):
        store.delete(Key("Namespace", "", "default"))


def test_empty_namespaces_go_at_once(store: Store) -> None:
    assert "deletionTimestamp" in store.delete(Key("Namespace", "", "shop"))["metadata"]
    assert store.find(Key("Namespace", "", "shop")) is None


def test_orphans_keep_living(store: Store) -> None:
    owner = store.create(config("owner"))
    owned = config("owned")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    owned["metadata"]["ownerReferences"] = [reference]
    store.create(owned)
    store.orphan_dependents(Key("ConfigMap", "shop", "owner"))
    assert "ownerReferences" not in store.get(Key("ConfigMap", "shop", "owned"))["metadata"]


def test_lists_are_sorted_and_selected(store: Store) -> None:
    for name, namespace in (("b", "shop"), ("a", "shop"), ("c", "default")):
        obj = config(name, namespace)
        obj["metadata"]["labels"] = {"name": name}
        store.create(obj)

    def names(**options: Any) -> list[str]:
        return [obj["metadata"]["name"] for obj in store.list("ConfigMap", **options)]

    assert names() == ["c", "a", "b"]
    assert names(namespace="shop") == ["a", "b"]
    assert names(labels=parse("name!=a")) == ["c", "b"]
    assert names(fields=parse_fields("metadata.name=a", "ConfigMap")) == ["a"]


def test_admission_may_change_and_refuse() -> None:
    calls = []

    def admit(old: JsonObject | None, new: JsonObject) -> JsonObject:
        calls.append((old, new["metadata"]["name"]))
        if new["metadata"]["name"] == "bad":
            raise ApiError(422, "Invalid", "no")
        return {**new, "admitted": True} if new["kind"] == "ConfigMap" else new

    store = make_store(admit=admit)
    stored = store.create(config())
    assert stored["admitted"] is True
    version = store.resource_version
    with refused(422, "Invalid"):
        store.create(config("bad"))
    assert store.resource_version == version
    store.replace({**stored, "data": {"x": "y"}})
    assert calls[-1][0] is stored


def test_prepared_writes_store_nothing(store: Store) -> None:
    assert store.prepare_create(config())["metadata"]["uid"]
    assert store.list("ConfigMap") == []
    store.create(config())
    assert store.prepare_replace(config(x="1"))["data"] == {"x": "1"}
    assert store.get(Key("ConfigMap", "shop", "a"))["data"] == {}


def test_jobs_get_a_selector_of_their_own(store: Store) -> None:
    job = store.create(sample("Job"))
    uid = job["metadata"]["uid"]
    assert job["spec"]["selector"] == {"matchLabels": {"batch.kubernetes.io/controller-uid": uid}}
    assert job["spec"]["template"]["metadata"]["labels"]["job-name"] == "once"
    again = sample("Job")
    again["spec"]["parallelism"] = 2
    replaced = store.replace(again)
    assert replaced["spec"]["selector"] == job["spec"]["selector"]
    assert replaced["spec"]["parallelism"] == 2


IMMUTABLE = [
    (
        "Deployment",
        ("spec", "selector"),
        {"matchLabels": {"app": "web", "x": "y"}},
        "spec.selector: Invalid value",
    ),
    (
        "Service",
        ("spec", "clusterIP"),
        "10.96.0.9",
        'spec.clusterIPs[0]: Invalid value: ["10.96.0.9"]: may not change once set',
    ),
    (
        "Pod",
        ("spec", "restartPolicy"),
        "Never",
        "spec: Forbidden: pod updates may not change fields other than",
    ),
    ("StatefulSet", ("spec", "serviceName"), "x", "spec: Forbidden: updates to statefulset spec"),
    ("Job", ("spec", "completions"), 5, None),
    ("Job", ("spec", "template", "spec", "restartPolicy"), "OnFailure", "spec.template: Invalid value"),
    ("Secret", ("type",), "other", 'type: Invalid value: "other": field is immutable'),
    ("EndpointSlice", ("addressType",), "IPv4", 'addressType: Invalid value: "IPv4": field is immutable'),
    ("DaemonSet", ("spec", "selector"), {"matchLabels": {"x": "y"}}, "field is immutable"),
    ("IngressClass", ("spec", "controller"), "acme.io/x", "field is immutable"),
]


@pytest.mark.parametrize(("kind", "path", "value", "message"), IMMUTABLE)
def test_what_may_not_change(
    store: Store, kind: str, path: tuple[str, ...], value: Any, message: str | None
) -> None:
    obj = sample(kind)
    if kind == "Service":
        obj["spec"]["clusterIP"] = "10.96.0.8"
    changed = copy_json(store.create(obj))
    target = changed
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    if message is None:
        store.replace(changed)
        return
    with refused(422, "Invalid") as caught:
        store.replace(changed)
    assert message in caught.error.message
    assert caught.error.details["causes"][0]["field"]


def test_what_may_change_of_a_pod(store: Store) -> None:
    stored = store.create(pod())
    placed = store.replace({**stored, "spec": {**stored["spec"], "nodeName": "worker-1"}})
    containers = [{**placed["spec"]["containers"][0], "image": "nginx:2"}]
    assert store.replace({**placed, "spec": {**placed["spec"], "containers": containers}})
    with refused(422, "Invalid"):
        store.replace(
            {**stored, "metadata": pod()["metadata"], "spec": {**stored["spec"], "nodeName": "worker-2"}}
        )


def test_frozen_config_maps(store: Store) -> None:
    stored = store.create({**config(x="1"), "immutable": True})
    with refused(422, "Invalid") as caught:
        store.replace({**stored, "data": {"x": "2"}})
    assert caught.error.message.startswith('ConfigMap "a" is invalid: data: Forbidden: field is immutable')


def test_a_service_loses_what_its_new_type_must_not_have(store: Store) -> None:
    stored = store.create(sample("Service"))
    spec = {**stored["spec"], "type": "ClusterIP"}
    del spec["loadBalancerSourceRanges"]
    changed = store.replace({**stored, "spec": spec})["spec"]
    assert "nodePort" not in changed["ports"][0]
    assert not {"externalTrafficPolicy", "allocateLoadBalancerNodePorts"} & set(changed)


def test_a_thousand_pods_are_created_in_time(store: Store) -> None:
    started = time.process_time()
    for number in range(1000):
        store.create(pod(f"web-{number}", node="worker-1"))
    assert time.process_time() - started < 0.3
    assert len(store.list("Pod")) == 1000

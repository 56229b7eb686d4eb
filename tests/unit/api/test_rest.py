"""The HTTP front, asked through the client over a real socket."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from emulator.api.client import JSON_PATCH, MERGE_PATCH, Client, ClusterUnreachableError
from emulator.api.errors import ApiError
from emulator.api.objects import JsonObject
from emulator.api.rest import make_app, serve
from emulator.api.store import Store
from tests.unit.api.samples import sample, samples
from tests.unit.api.serving import Server
from tests.unit.api.test_store import config, make_store, pod


def status_of(client: Client, method: str, path: str, body: Any = None, **options: Any) -> tuple[int, str]:
    with pytest.raises(ApiError) as caught:
        client.request(method, path, body, **options)
    return caught.value.code, caught.value.message


def test_the_socket_is_private(server: Server) -> None:
    assert stat.S_IMODE(server.path.stat().st_mode) == 0o600


def test_nobody_home(tmp_path: Path) -> None:
    with pytest.raises(ClusterUnreachableError, match="no cluster answers at"):
        Client(tmp_path / "nothing").get("Pod", "a")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "stale"))
    with pytest.raises(ClusterUnreachableError):
        Client(tmp_path / "stale").list("Pod")


def test_every_verb(client: Client) -> None:
    created = client.create(config(x="1"))
    assert created["metadata"]["uid"]
    assert client.get("ConfigMap", "a", "shop") == created
    assert client.find("ConfigMap", "b", "shop") is None
    replaced = client.replace({**created, "data": {"x": "2"}})
    assert replaced["data"] == {"x": "2"}
    merged = client.patch("ConfigMap", "a", {"data": {"y": "3"}}, "shop", content_type=MERGE_PATCH)
    assert merged["data"] == {"x": "2", "y": "3"}
    operations = [{"op": "remove", "path": "/data/x"}]
    assert client.patch("ConfigMap", "a", operations, "shop", content_type=JSON_PATCH)["data"] == {"y": "3"}
    assert client.patch("ConfigMap", "a", {"metadata": {"labels": {"a": "b"}}}, "shop")["metadata"][
        "labels"
    ] == {"a": "b"}
    assert [obj["metadata"]["name"] for obj in client.list("ConfigMap", labels="a=b")] == ["a"]
    assert client.list("ConfigMap", "default") == []
    assert client.delete("ConfigMap", "a", "shop")["metadata"]["name"] == "a"
    with pytest.raises(ApiError) as caught:
        client.delete("ConfigMap", "a", "shop")
    assert caught.value.status()["details"] == {"name": "a", "kind": "configmaps"}


def test_samples_go_in_and_come_out(client: Client) -> None:
    for obj in samples():
        if obj["metadata"]["name"] != "shop":
            created = client.create(obj)
            assert client.replace(created) == created
            assert client.apply(obj) == "configured"
            assert client.apply(obj) == "unchanged"


def test_lists_are_lists(client: Client) -> None:
    client.create(pod())
    answer = client.request("GET", "/api/v1/pods?limit=500")
    assert (answer["kind"], answer["apiVersion"], len(answer["items"])) == ("PodList", "v1", 1)
    assert answer["metadata"]["resourceVersion"] == "3"
    assert client.request("GET", "/api/v1/namespaces/shop/pods")["items"] == answer["items"]
    assert client.request("GET", "/api/v1/namespaces/default/pods")["items"] == []


def test_namespaces_and_their_subresources(client: Client) -> None:
    assert client.request("GET", "/api/v1/namespaces/shop")["metadata"]["name"] == "shop"
    assert client.request("GET", "/api/v1/namespaces/shop/status")["status"] == {"phase": "Active"}
    client.create(config())
    client.delete("Namespace", "shop")
    assert [obj["metadata"]["name"] for obj in client.list("Namespace")] == ["default"]


def test_scale(client: Client) -> None:
    client.create(sample("Deployment"))
    scale = client.scale("Deployment", "web", 7, "shop")
    assert (scale["kind"], scale["apiVersion"], scale["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 7})
    assert client.get("Deployment", "web", "shop")["spec"]["replicas"] == 7
    path = "/apis/apps/v1/namespaces/shop/deployments/web/scale"
    assert client.request("GET", path)["status"]["selector"] == "app=web"
    assert status_of(client, "PUT", path, {**scale, "spec": {"replicas": -1}})[0] == 400
    assert status_of(client, "GET", "/api/v1/namespaces/default/scale")[0] == 404


def test_status_subresource(client: Client) -> None:
    client.create(pod())
    patch = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    client.patch("Pod", "web", patch, "shop", subresource="status")
    patch["status"]["conditions"] = [
        {"type": "Ready", "status": "False"},
        {"type": "Other", "status": "True"},
    ]
    changed = client.patch("Pod", "web", patch, "shop", subresource="status")
    assert changed["status"]["conditions"] == patch["status"]["conditions"]
    assert changed["status"]["phase"] == "Pending"
    # A status that a schema would not accept keeps nobody from changing the rest.
    client.replace_status({**changed, "status": {"containerStatuses": [{"name": "web"}]}})
    assert client.patch("Pod", "web", {"metadata": {"labels": {"a": "b"}}}, "shop")


def test_pods_are_bound_and_evicted(client: Client) -> None:
    client.create(pod())
    path = "/api/v1/namespaces/shop/pods/web"
    client.request("POST", f"{path}/binding", {"target": {"kind": "Node", "name": "worker-1"}})
    assert client.get("Pod", "web", "shop")["spec"]["nodeName"] == "worker-1"
    client.request("POST", f"{path}/eviction", {"deleteOptions": {"gracePeriodSeconds": 3}})
    assert client.get("Pod", "web", "shop")["metadata"]["deletionGracePeriodSeconds"] == 3
    client.delete("Pod", "web", "shop", grace_seconds=0)
    assert client.find("Pod", "web", "shop") is None


def test_collections_are_deleted(client: Client) -> None:
    for name in ("a", "b", "c"):
        client.create(
            {**config(name), "metadata": {"name": name, "namespace": "shop", "labels": {"n": name}}}
        )
    client.request("DELETE", "/api/v1/namespaces/shop/configmaps?labelSelector=n%20in%20(a,b)")
    assert [obj["metadata"]["name"] for obj in client.list("ConfigMap")] == ["c"]


@pytest.mark.parametrize(
    ("method", "path", "code"),
    [
        ("GET", "/api/v1/gadgets", 404),
        ("GET", "/api/v2/pods", 404),
        ("GET", "/apis/apps/v1beta1/deployments", 404),
        ("GET", "/api/v1/pods/web", 404),
        ("GET", "/apis/networking.k8s.io/v1/namespaces/shop/ingressclasses", 404),
        ("GET", "/nowhere", 404),
        ("POST", "/api/v1/namespaces/shop/pods/web", 405),
        ("PUT", "/api/v1/namespaces/shop/pods", 405),
        ("POST", "/api", 405),
        ("GET", "/api/v1/pods?labelSelector=a%20b", 400),
        ("GET", "/api/v1/pods?fieldSelector=spec.x=1", 400),
        ("GET", "/api/v1/pods?watch=true&resourceVersion=x", 400),
        ("GET", "/mininetes/v1/changes?kinds=Gadget", 400),
    ],
)
def test_paths_and_queries_that_are_refused(client: Client, method: str, path: str, code: int) -> None:
    assert status_of(client, method, path, {} if method == "POST" else None)[0] == code


def test_bodies_that_are_refused(client: Client) -> None:
    path = "/api/v1/namespaces/shop/configmaps"
    assert status_of(client, "POST", path, config(namespace="default"))[0] == 400
    assert status_of(client, "POST", path, pod())[0] == 400
    assert status_of(client, "POST", path, [1])[0] == 400
    assert (
        status_of(client, "POST", path, config(), content_type="application/vnd.kubernetes.protobuf")[0]
        == 415
    )
    client.create(config())
    assert status_of(client, "PUT", f"{path}/a", config("b"))[0] == 400
    assert status_of(client, "PATCH", f"{path}/a", {}, content_type="text/plain")[0] == 415
    assert status_of(client, "PATCH", f"{path}/a", {}, content_type=JSON_PATCH)[0] == 400
    assert status_of(client, "POST", f"{path}?dryRun=Some", config("c"))[0] == 400
    code, message = status_of(client, "POST", path, {**config("d"), "data": {"x": 1}})
    assert (code, message) == (
        400,
        'ConfigMap in version "v1" cannot be handled as a ConfigMap: '
        "data.x: expected a string, got an integer 1",
    )


def test_objects_that_break_rules_are_refused(client: Client) -> None:
    service = sample("Service")
    service["spec"]["ports"][0]["port"] = 0
    code, message = status_of(client, "POST", "/api/v1/namespaces/shop/services", service)
    assert code == 422
    assert message == (
        'Service "db" is invalid: spec.ports[0].port: '
        "Invalid value: 0: must be between 1 and 65535, inclusive"
    )


def test_field_validation(server: Server, client: Client) -> None:
    body = {**config(), "dta": {}}
    path = "/api/v1/namespaces/shop/configmaps"
    assert status_of(client, "POST", f"{path}?fieldValidation=Strict", body) == (
        400,
        'strict decoding error: unknown field "dta"',
    )
    raw = http.client.HTTPConnection("x")
    raw.sock = socket.socket(socket.AF_UNIX)
    raw.sock.connect(str(server.path))
    raw.request("POST", path, json.dumps(body))
    response = raw.getresponse()
    assert response.status == 201
    assert response.getheader("Warning") == '299 - "unknown field \\"dta\\""'
    assert "dta" not in json.loads(response.read())
    raw.close()


def test_dry_runs_change_nothing(client: Client) -> None:
    path = "/api/v1/namespaces/shop/configmaps"
    assert client.request("POST", f"{path}?dryRun=All", config())["metadata"]["uid"]
    assert client.list("ConfigMap") == []
    client.create(config())
    client.request("DELETE", f"{path}/a?dryRun=All")
    changed = client.request("PATCH", f"{path}/a?dryRun=All", {"data": {"x": "1"}}, content_type=MERGE_PATCH)
    assert changed["data"] == {"x": "1"}
    assert client.apply_all([config(x="2"), config("new")], dry_run=True)[0]["result"] == "configured"
    (kept,) = client.list("ConfigMap")
    assert kept["data"] == {}


def test_optimistic_writers_meet(client: Client) -> None:
    old = client.create(config())
    client.replace({**old, "data": {"x": "1"}})
    with pytest.raises(ApiError) as caught:
        client.replace({**old, "data": {"x": "2"}})
    assert caught.value.reason == "Conflict"
    stale = {"metadata": {"resourceVersion": old["metadata"]["resourceVersion"]}, "data": {"x": "3"}}
    with pytest.raises(ApiError):
        client.patch("ConfigMap", "a", stale, "shop", content_type=MERGE_PATCH)


def test_discovery(client: Client) -> None:
    assert client.request("GET", "/version")["major"] == "1"
    assert client.request("GET", "/version/")["gitVersion"].startswith("v1.")
    assert client.request("GET", "/api")["versions"] == ["v1"]
    groups = [group["name"] for group in client.request("GET", "/apis")["groups"]]
    assert {"apps", "batch", "discovery.k8s.io", "networking.k8s.io", "mininetes.io"} <= set(groups)
    resources = {r["name"]: r for r in client.request("GET", "/apis/apps/v1")["resources"]}
    assert resources["deployments"]["shortNames"] == ["deploy"]
    assert resources["deployments/scale"]["kind"] == "Scale"
    assert client.request("GET", "/apis/apps")["preferredVersion"]["version"] == "v1"
    policies = client.request("GET", "/apis/policy.networking.k8s.io")
    assert [one["version"] for one in policies["versions"]] == ["v1beta1", "v1alpha2", "v1alpha1"]
    served = client.request("GET", "/apis/policy.networking.k8s.io/v1alpha2")
    assert {"clusternetworkpolicies"} <= {one["name"] for one in served["resources"]}
    paths = client.request("GET", "/openapi/v3/apis/apps/v1")["paths"]
    patch = paths["/apis/apps/v1/namespaces/{namespace}/deployments/{name}"]["patch"]
    assert "fieldValidation" in [parameter["name"] for parameter in patch["parameters"]]
    assert client.request("GET", "/openapi/v2") == ""
    assert client.request("GET", "/readyz") == "ok"


def test_a_version_of_the_same_form_is_served_as_it_is_asked_for(client: Client) -> None:
    """What is stored is one object; who speaks one version sees nothing of the other."""
    old, new = (
        f"/apis/policy.networking.k8s.io/{version}/clusternetworkpolicies"
        for version in ("v1alpha2", "v1beta1")
    )
    beta, alpha = "policy.networking.k8s.io/v1beta1", "policy.networking.k8s.io/v1alpha2"
    made = client.request("POST", new, {**sample("ClusterNetworkPolicy"), "apiVersion": beta})
    assert made["apiVersion"] == beta
    for path, version in ((old, alpha), (new, beta)):
        assert client.request("GET", f"{path}/fence")["apiVersion"] == version
        listed = client.request("GET", path)
        assert {listed["apiVersion"], *(item["apiVersion"] for item in listed["items"])} == {version}
        event = next(client.stream("GET", f"{path}?watch=true"))
        assert (event["type"], event["object"]["apiVersion"]) == ("ADDED", version)
        changed = {**client.request("GET", f"{path}/fence")}
        changed["spec"] = {**changed["spec"], "priority": changed["spec"]["priority"] + 1}
        assert client.request("PUT", f"{path}/fence", changed)["apiVersion"] == version
    told = {**client.request("GET", f"{new}/fence"), "status": {"conditions": []}}
    assert client.request("PUT", f"{new}/fence/status", told)["apiVersion"] == beta
    patch = {"spec": {"priority": 13}}
    kind = {"content_type": MERGE_PATCH}
    assert client.request("PATCH", f"{new}/fence", patch, **kind)["apiVersion"] == beta
    stored = client.get("ClusterNetworkPolicy", "fence")
    assert (stored["apiVersion"], stored["spec"]["priority"]) == (alpha, 13)
    assert stored["status"] == {"conditions": []}
    assert client.request("DELETE", f"{new}/fence")["apiVersion"] == beta
    assert client.request("GET", old)["items"] == []


def test_routes_of_others_take_precedence(tmp_path: Path) -> None:
    from aiohttp import web

    async def log(request: web.Request) -> web.Response:
        return web.json_response({"log of": request.match_info["pod"]})

    async def ask() -> JsonObject:
        app = make_app(make_store())
        app.router.add_get("/api/v1/namespaces/{namespace}/pods/{pod}/log", log)
        runner = await serve(app, tmp_path / "s")
        try:
            path = "/api/v1/namespaces/shop/pods/web/log"
            return await asyncio.to_thread(Client(tmp_path / "s").request, "GET", path)
        finally:
            await runner.cleanup()

    assert asyncio.run(ask()) == {"log of": "web"}


def test_a_closed_connection_is_opened_again(server: Server, client: Client) -> None:
    client.list("Pod")
    assert client._connection is not None
    assert client._connection.sock is not None
    client._connection.sock.shutdown(socket.SHUT_RDWR)
    assert client.list("Pod") == []


def test_big_answers(client: Client) -> None:
    client.create(config(x="y" * 1_000_000))
    assert len(client.get("ConfigMap", "a", "shop")["data"]["x"]) == 1_000_000


def test_the_store_serves_many_applies_at_once(client: Client, server: Server) -> None:
    results = client.apply_all([config(f"c{n}") for n in range(300)] + [config("bad name")])
    assert [result["result"] for result in results[:-1]] == ["created"] * 300
    assert results[-1]["error"]["code"] == 422
    assert isinstance(server.store, Store)

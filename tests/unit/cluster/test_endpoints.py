from __future__ import annotations

from ipaddress import ip_address

from emulator.api.objects import JsonObject
from emulator.cluster.endpoints import SLICE_CONTROLLER
from emulator.cluster.slices import MANAGED_BY

from .lab import Lab, pod, pod_spec, service, wiring_of, workload


def slices(lab: Lab, name: str, namespace: str = "default") -> list[JsonObject]:
    return [
        s
        for s in lab.store.list("EndpointSlice", namespace)
        if (s["metadata"].get("labels") or {}).get("kubernetes.io/service-name") == name
    ]


def conditions(lab: Lab, name: str) -> dict[str, tuple[bool, bool, bool]]:
    """Pod → (ready, serving, terminating)."""
    return {
        e["targetRef"]["name"]: tuple(e["conditions"][c] for c in ("ready", "serving", "terminating"))
        for s in slices(lab, name)
        for e in s["endpoints"]
    }


def subsets(lab: Lab, name: str) -> list[JsonObject]:
    found: list[JsonObject] = lab.get("Endpoints", name).get("subsets") or []
    return found


def test_slices_follow_pods_and_readiness() -> None:
    lab = Lab()
    lab.apply(service("web"), pod("web-1", {"app": "web"}), pod("other"))
    assert conditions(lab, "web") == {"web-1": (False, False, False)}
    assert list(subsets(lab, "web")[0]) == ["notReadyAddresses", "ports"]
    lab.obey()
    assert conditions(lab, "web") == {"web-1": (True, True, False)}
    (one,) = slices(lab, "web")
    assert one["metadata"]["labels"][MANAGED_BY] == SLICE_CONTROLLER
    assert one["metadata"]["name"].startswith("web-")
    assert (one["addressType"], one["ports"]) == ("IPv4", [{"name": "", "port": 80, "protocol": "TCP"}])
    (endpoint,) = one["endpoints"]
    web = lab.get("Pod", "web-1")
    assert endpoint["addresses"] == [web["status"]["podIP"]]
    assert (endpoint["nodeName"], endpoint["zone"]) == (web["spec"]["nodeName"], "a")
    assert endpoint["targetRef"]["uid"] == web["metadata"]["uid"]


def test_terminating_pods_stay_but_are_not_ready() -> None:
    lab = Lab()
    lab.run(service("web"), pod("web-1", {"app": "web"}), pod("web-2", {"app": "web"}))
    lab.delete("Pod", "web-1")
    assert conditions(lab, "web") == {"web-1": (False, True, True), "web-2": (True, True, False)}
    assert len(subsets(lab, "web")[0]["addresses"]) == 1
    lab.obey()
    assert list(conditions(lab, "web")) == ["web-2"]


def test_finished_pods_are_no_endpoints_whatever_is_published() -> None:
    lab = Lab()
    lab.run(service("web", publishNotReadyAddresses=True), pod("web-1", {"app": "web"}))
    lab.finish(lab.get("Pod", "web-1"), "Failed")
    assert conditions(lab, "web") == {}


def test_published_addresses_count_before_they_are_ready() -> None:
    lab = Lab()
    lab.apply(service("web", publishNotReadyAddresses=True), pod("web-1", {"app": "web"}))
    assert conditions(lab, "web") == {"web-1": (True, False, False)}


def test_readiness_gates_count() -> None:
    lab = Lab()
    lab.run(service("web"), pod("web-1", {"app": "web"}, readinessGates=[{"conditionType": "x/green"}]))
    assert conditions(lab, "web")["web-1"] == (False, False, False)


def test_a_selector_that_matches_nothing_has_one_empty_slice_and_empty_endpoints() -> None:
    lab = Lab()
    lab.apply(service("web"))
    (one,) = slices(lab, "web")
    assert (one["endpoints"], one["ports"]) == ([], [])
    assert subsets(lab, "web") == []
    lab.delete("Service", "web")
    assert not slices(lab, "web")
    assert not [e for e in lab.store.list("Endpoints") if e["metadata"]["name"] == "web"]


def test_named_ports_resolve_per_pod_and_make_slices_apart() -> None:
    lab = Lab()
    ports = [{"name": "http", "port": 80, "targetPort": "web"}]
    lab.run(
        service("web", ports),
        pod("old", {"app": "web"}, ports=[{"name": "web", "containerPort": 8080}]),
        pod("new", {"app": "web"}, ports=[{"name": "web", "containerPort": 9090}]),
        pod("none", {"app": "web"}),
    )
    found = {
        s["ports"][0]["port"]: [e["targetRef"]["name"] for e in s["endpoints"]] for s in slices(lab, "web")
    }
    assert found == {8080: ["old"], 9090: ["new"]}


def test_both_families_have_slices_of_their_own() -> None:
    lab = Lab()
    lab.run(service("web", ipFamilyPolicy="PreferDualStack"), pod("web-1", {"app": "web"}))
    found = {s["addressType"]: s["endpoints"][0]["addresses"][0] for s in slices(lab, "web")}
    assert set(found) == {"IPv4", "IPv6"}
    assert ip_address(found["IPv6"]).version == 6
    assert len(lab.state().services[1].ports[0].endpoints) == 2


def test_a_hundred_endpoints_fill_a_slice_and_those_that_stay_are_not_moved() -> None:
    lab = Lab(wiring_of(nodes=4))
    lab.run(service("web"), workload("Deployment", "web", replicas=250))
    before = {s["metadata"]["name"]: _pods_of(s) for s in slices(lab, "web")}
    assert sorted(len(pods) for pods in before.values()) == [50, 100, 100]
    lab.delete("Pod", next(iter(min(before.values(), key=min))))
    lab.obey()
    after = {s["metadata"]["name"]: _pods_of(s) for s in slices(lab, "web")}
    assert set(after) == set(before)
    assert sum(len(after[name] - before[name]) for name in after) == 1
    lab.scale("Deployment", "web", 3)
    lab.obey()
    assert sum(len(_pods_of(s)) for s in slices(lab, "web")) == 3


def _pods_of(endpoint_slice: JsonObject) -> set[str]:
    return {e["targetRef"]["name"] for e in endpoint_slice["endpoints"]}


def test_a_headless_service_names_its_stateful_pods() -> None:
    lab = Lab()
    lab.run(service("db", clusterIP="None"), workload("StatefulSet", "db", replicas=2, serviceName="db"))
    (one,) = slices(lab, "db")
    assert [e["hostname"] for e in one["endpoints"]] == ["db-0", "db-1"]
    assert one["metadata"]["labels"]["service.kubernetes.io/headless"] == ""
    assert [s.ref.name for s in lab.state().services] == ["kubernetes"], "no proxy programs it"


def test_traffic_distribution_becomes_hints() -> None:
    lab = Lab()
    lab.run(service("web", trafficDistribution="PreferSameNode"), pod("web-1", {"app": "web"}))
    (endpoint,) = slices(lab, "web")[0]["endpoints"]
    assert endpoint["hints"] == {"forZones": [{"name": "a"}], "forNodes": [{"name": "worker-1"}]}
    (read,) = lab.state().services[1].ports[0].endpoints
    assert (read.for_zones, read.for_nodes) == (("a",), ("worker-1",))


def test_changing_a_service_to_a_mere_name_takes_its_endpoints() -> None:
    lab = Lab()
    lab.run(service("web"), pod("web-1", {"app": "web"}))
    lab.change("Service", "web", lambda s: s["spec"].update(type="ExternalName", externalName="example.org"))
    assert not slices(lab, "web")
    assert "clusterIP" not in lab.get("Service", "web")["spec"]


# -- slices and Endpoints that people write


def written_endpoints(*ips: str, ready: bool = True) -> JsonObject:
    field = "addresses" if ready else "notReadyAddresses"
    subset = {field: [{"ip": ip} for ip in ips], "ports": [{"name": "http", "port": 8090}]}
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web"}, "subsets": [subset]}


def test_endpoints_of_a_service_without_selector_are_mirrored() -> None:
    lab = Lab()
    lab.apply(service("web", [{"name": "http", "port": 80}], selector=None), written_endpoints("10.1.2.3"))
    (one,) = slices(lab, "web")
    assert one["metadata"]["labels"][MANAGED_BY] == "endpointslicemirroring-controller.k8s.io"
    assert one["endpoints"] == [{"addresses": ["10.1.2.3"], "conditions": {"ready": True}}]
    lab.change("Endpoints", "web", lambda e: e["subsets"][0]["addresses"].append({"ip": "fd00::9"}))
    assert {s["addressType"] for s in slices(lab, "web")} == {"IPv4", "IPv6"}
    lab.delete("Endpoints", "web")
    assert not slices(lab, "web")


def test_endpoints_that_ask_not_to_be_mirrored_are_not() -> None:
    lab = Lab()
    endpoints = written_endpoints("10.1.2.3")
    endpoints["metadata"]["labels"] = {"endpointslice.kubernetes.io/skip-mirror": "true"}
    lab.apply(service("web", selector=None), endpoints)
    assert not slices(lab, "web")


def written_slice(name: str, port_name: str, port: int, *ips: str) -> JsonObject:
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ip]} for ip in ips],
        "ports": [{"name": port_name, "port": port}],
    }


def test_hand_written_slices_are_left_alone_and_read() -> None:
    lab = Lab()
    ports = [{"name": "a", "port": 80}, {"name": "b", "port": 81}]
    lab.apply(
        service("web", ports, selector=None),
        written_slice("one", "a", 8090, "10.1.2.3", "10.1.2.4"),
        written_slice("two", "b", 9090, "10.1.2.3"),
        written_slice("three", "a", 8090, "10.1.2.3"),
    )
    a, b = lab.state().services[1].ports
    assert [(str(e.address), e.port, e.ready) for e in a.endpoints] == [
        ("10.1.2.3", 8090, True),
        ("10.1.2.4", 8090, True),
    ]
    assert [(str(e.address), e.port) for e in b.endpoints] == [("10.1.2.3", 9090)]


def test_a_pod_owned_by_what_is_gone_goes() -> None:
    lab = Lab()
    orphan = pod("orphan")
    orphan["metadata"]["ownerReferences"] = [
        {
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "name": "gone",
            "uid": "no-such-uid",
            "controller": True,
        }
    ]
    stranger = pod("stranger")
    stranger["metadata"]["ownerReferences"] = [
        {"apiVersion": "example.org/v1", "kind": "Robot", "name": "r", "uid": "unknown", "controller": True}
    ]
    lab.run(orphan, stranger)
    assert lab.names() == ["stranger"]


def test_named_ports_of_sidecars_count() -> None:
    lab = Lab()
    proxy = {
        "name": "proxy",
        "image": "x",
        "restartPolicy": "Always",
        "ports": [{"name": "p", "containerPort": 1234}],
    }
    web = pod("web-1", {"app": "web"})
    web["spec"] = {**pod_spec(), "initContainers": [proxy]}
    lab.run(service("web", [{"port": 80, "targetPort": "p"}]), web)
    assert slices(lab, "web")[0]["ports"][0]["port"] == 1234

"""Patches and the three-way merge."""

from __future__ import annotations

from typing import Any

import pytest

from emulator.api.errors import ApiError
from emulator.api.jsonpatch import json_patch
from emulator.api.merge import merge_patch, strategic_patch, three_way
from emulator.api.objects import JsonObject, copy_json
from emulator.api.schema import shape_of

DEPLOYMENT = shape_of("apps/v1", "Deployment")
SERVICE = shape_of("v1", "Service")
POD = shape_of("v1", "Pod")


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [  # the examples of RFC 7386, appendix A
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    before = copy_json(target)
    assert merge_patch(target, patch) == result
    assert target == before


def pod(*containers: JsonObject, **spec: Any) -> JsonObject:
    return {"spec": {"containers": list(containers), **spec}}


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        (
            pod({"name": "a", "image": "1"}, {"name": "b", "image": "1"}),
            pod({"name": "b", "image": "2"}),
            pod({"name": "a", "image": "1"}, {"name": "b", "image": "2"}),
        ),
        (pod({"name": "a"}), pod({"name": "b"}), pod({"name": "a"}, {"name": "b"})),
        (pod({"name": "a"}, {"name": "b"}), pod({"name": "a", "$patch": "delete"}), pod({"name": "b"})),
        (pod({"name": "a"}), pod({"name": "b"}, {"$patch": "replace"}), pod({"name": "b"})),
        (
            pod({"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y"}]}),
            pod({"name": "a", "env": [{"name": "X", "$patch": "delete"}]}),
            pod({"name": "a", "env": [{"name": "Y"}]}),
        ),
        (
            pod({"name": "a", "command": ["x", "y"]}),
            pod({"name": "a", "command": ["z"]}),
            pod({"name": "a", "command": ["z"]}),
        ),
        (
            pod({"name": "a"}, {"name": "b"}, {"name": "c"}),
            {"spec": {"$setElementOrder/containers": [{"name": "c"}, {"name": "a"}]}},
            pod({"name": "c"}, {"name": "a"}, {"name": "b"}),
        ),
        (
            pod(volumes=[{"name": "v", "emptyDir": {}}]),
            pod(volumes=[{"name": "v", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/x"}}]),
            pod(volumes=[{"name": "v", "hostPath": {"path": "/x"}}]),
        ),
        (
            {"metadata": {"finalizers": ["a", "b"]}},
            {"metadata": {"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}},
            {"metadata": {"finalizers": ["b", "c"]}},
        ),
        (
            {"metadata": {"labels": {"a": "1", "b": "2"}}},
            {"metadata": {"labels": {"a": None}}},
            {"metadata": {"labels": {"b": "2"}}},
        ),
        (
            {"metadata": {"labels": {"a": "1"}}},
            {"metadata": {"labels": {"$patch": "replace", "b": "2"}}},
            {"metadata": {"labels": {"b": "2"}}},
        ),
    ],
)
def test_strategic_patch(target: JsonObject, patch: JsonObject, result: JsonObject) -> None:
    before = copy_json(target)
    assert strategic_patch(target, patch, POD) == result
    assert target == before


def test_service_ports_of_two_protocols_stay_apart() -> None:
    dns = {"spec": {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}}
    patch = {"spec": {"ports": [{"port": 53, "protocol": "TCP", "name": "tcp"}]}}
    assert strategic_patch(dns, patch, SERVICE)["spec"]["ports"] == [
        {"port": 53, "protocol": "UDP"},
        {"port": 53, "protocol": "TCP", "name": "tcp"},
    ]


def test_patches_that_make_no_sense() -> None:
    with pytest.raises(ApiError, match="merge key"):
        strategic_patch(pod({"name": "a"}), pod({"image": "b"}), POD)
    with pytest.raises(ApiError, match="unrecognized patch type"):
        strategic_patch({}, {"$patch": "explode"}, POD)


@pytest.mark.parametrize(
    ("operations", "result"),
    [
        ([{"op": "add", "path": "/b", "value": 1}], {"a": [1, 2], "c": {"d/e": 3}, "b": 1}),
        ([{"op": "add", "path": "/a/-", "value": 3}], {"a": [1, 2, 3], "c": {"d/e": 3}}),
        ([{"op": "add", "path": "/a/0", "value": 0}], {"a": [0, 1, 2], "c": {"d/e": 3}}),
        ([{"op": "remove", "path": "/a/0"}], {"a": [2], "c": {"d/e": 3}}),
        ([{"op": "replace", "path": "/c/d~1e", "value": 4}], {"a": [1, 2], "c": {"d/e": 4}}),
        ([{"op": "move", "from": "/c", "path": "/d"}], {"a": [1, 2], "d": {"d/e": 3}}),
        ([{"op": "copy", "from": "/a", "path": "/c/f"}], {"a": [1, 2], "c": {"d/e": 3, "f": [1, 2]}}),
        ([{"op": "test", "path": "/a/1", "value": 2}], {"a": [1, 2], "c": {"d/e": 3}}),
        ([{"op": "replace", "path": "", "value": {"x": 1}}], {"x": 1}),
    ],
)
def test_json_patch(operations: list[JsonObject], result: JsonObject) -> None:
    target = {"a": [1, 2], "c": {"d/e": 3}}
    assert json_patch(target, operations) == result
    assert target == {"a": [1, 2], "c": {"d/e": 3}}


@pytest.mark.parametrize(
    ("operation", "code"),
    [
        ({"op": "test", "path": "/a", "value": 2}, 422),
        ({"op": "remove", "path": "/b"}, 422),
        ({"op": "replace", "path": "/b/c", "value": 1}, 422),
        ({"op": "add", "path": "/a/b", "value": 1}, 422),
        ({"op": "remove", "path": ""}, 422),
        ({"op": "replace", "path": "", "value": 1}, 422),
        ({"op": "explode", "path": "/a"}, 400),
        ({"op": "add", "path": "a", "value": 1}, 400),
        ({"op": "add", "value": 1}, 400),
    ],
)
def test_json_patch_refusals(operation: JsonObject, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        json_patch({"a": 1}, [operation])
    assert caught.value.code == code


def test_three_way_removes_what_the_manifest_dropped_and_keeps_what_others_set() -> None:
    original = {"metadata": {"labels": {"a": "1", "b": "2"}}, "spec": {"replicas": 2, "paused": True}}
    modified = {"metadata": {"labels": {"a": "1"}}, "spec": {"replicas": 3}}
    current = {
        "metadata": {"labels": {"a": "1", "b": "2", "c": "theirs"}, "uid": "u"},
        "spec": {"replicas": 2, "paused": True, "revisionHistoryLimit": 10},
    }
    assert three_way(original, modified, current, DEPLOYMENT) == {
        "metadata": {"labels": {"a": "1", "c": "theirs"}, "uid": "u"},
        "spec": {"replicas": 3, "revisionHistoryLimit": 10},
    }


def test_three_way_merges_lists_by_key() -> None:
    original = {"spec": {"ports": [{"port": 80}, {"port": 81}]}}
    modified = {"spec": {"ports": [{"port": 82}, {"port": 80, "name": "web"}]}}
    current = {
        "spec": {
            "ports": [
                {"port": 80, "protocol": "TCP", "nodePort": 30080},
                {"port": 81, "protocol": "TCP", "nodePort": 30081},
                {"port": 90, "protocol": "TCP"},
            ]
        }
    }
    assert three_way(original, modified, current, SERVICE)["spec"]["ports"] == [
        {"port": 82},
        {"port": 80, "protocol": "TCP", "nodePort": 30080, "name": "web"},
        {"port": 90, "protocol": "TCP"},
    ]


def test_three_way_drops_the_keys_of_another_strategy() -> None:
    current = {"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}}}
    modified = {"spec": {"strategy": {"type": "Recreate"}}}
    assert three_way({}, modified, current, DEPLOYMENT)["spec"]["strategy"] == {"type": "Recreate"}


def test_three_way_replaces_plain_lists() -> None:
    current = pod({"name": "a", "command": ["x", "y"]})
    merged = three_way({}, pod({"name": "a", "command": ["z"]}), current, POD)
    assert merged["spec"]["containers"] == [{"name": "a", "command": ["z"]}]

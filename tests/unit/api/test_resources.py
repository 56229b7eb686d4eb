"""The verbs with bodies of every sort: the answer is an object or a refusal, never an exception."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.api.errors import ApiError
from emulator.api.kinds import kind_named
from emulator.api.objects import JsonObject, copy_json, key_of
from emulator.api.requests import Answer, Target, WriteOptions
from emulator.api.resources import PATCH_TYPES, Resources
from tests.unit.api.samples import samples
from tests.unit.api.test_store import make_store
from tests.unit.api.test_validate import JSON, PLACES

REFUSALS = (400, 403, 404, 405, 409, 415, 422)
STRICT = WriteOptions(validation="Ignore")


def damaged(obj: JsonObject, path: tuple[str | int, ...], value: Any) -> JsonObject:
    changed: Any = copy_json(obj)
    target = changed
    for part in path[:-1]:
        target = target[part]
    target[path[-1]] = value
    return dict(changed)


def body_of(write: Callable[[], Answer]) -> JsonObject:
    """What the server answers: the object, or the Status of a refusal."""
    try:
        return write().body
    except ApiError as error:
        return error.status()


def target_of(obj: JsonObject) -> Target:
    key = key_of(obj)
    return Target(kind_named(key.kind), key.namespace, key.name)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(place=st.sampled_from(PLACES), value=JSON)
def test_create_and_apply(place: tuple[JsonObject, Any], value: Any) -> None:
    obj, path = place
    resources = Resources(make_store())
    body = damaged(obj, path, value)
    for write in (
        lambda: resources.apply(body, STRICT)[1],
        lambda: resources.apply(obj, STRICT)[1],
        lambda: resources.create(
            Target(kind_named(obj["kind"]), obj["metadata"].get("namespace", "")), body, STRICT
        ),
    ):
        answer = body_of(write)
        assert answer.get("code") in REFUSALS or answer["metadata"]["uid"]


SUBRESOURCES = st.sampled_from(["", "status", "scale", "binding", "eviction"])


@settings(max_examples=400, deadline=None, derandomize=True)
@given(place=st.sampled_from(PLACES), value=JSON, subresource=SUBRESOURCES, kind=st.sampled_from(PATCH_TYPES))
def test_replace_and_patch(place: tuple[JsonObject, Any], value: Any, subresource: str, kind: str) -> None:
    obj, path = place
    resources = Resources(make_store())
    resources.apply(obj, STRICT)
    whole = target_of(obj)
    target = Target(whole.kind, whole.namespace, whole.name, subresource)
    body: Any = damaged(obj, path, value)
    bodies = (
        body,
        {path[0]: body.get(str(path[0]))},
        value,
        [value],
        [{"op": "add", "path": "/spec/x", "value": value}],
    )
    for write in (resources.replace, lambda t, b, o: resources.patch(t, kind, b, o), resources.create):
        for one in bodies:
            answer = body_of(partial(write, target, one, STRICT))
            assert answer.get("status") != "Failure" or answer["code"] in REFUSALS


@settings(max_examples=100, deadline=None, derandomize=True)
@given(body=JSON, obj=st.sampled_from(samples()))
def test_delete(body: Any, obj: JsonObject) -> None:
    resources = Resources(make_store())
    resources.apply(obj, STRICT)
    answer = body_of(lambda: resources.delete(target_of(obj), body, "", STRICT))
    assert answer.get("code") in (400, 409) or answer["metadata"]["uid"]

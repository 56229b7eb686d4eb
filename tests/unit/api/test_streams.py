"""Watches and the stream of changes, asked through the client over a real socket."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

from emulator.api.client import Client
from emulator.api.errors import ApiError
from emulator.api.objects import Key
from tests.unit.api.samples import sample
from tests.unit.api.serving import Server
from tests.unit.api.test_store import config, pod


def test_watch(server: Server, client: Client) -> None:
    first = client.create(config("a"))
    events = client.watch("ConfigMap", "shop", labels="app=web")
    client.create({**config("b"), "metadata": {"name": "b", "namespace": "shop", "labels": {"app": "web"}}})
    event = next(events)
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "b")
    client.patch("ConfigMap", "a", {"metadata": {"labels": {"app": "web"}}}, "shop")
    event = next(events)
    assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "a")
    client.patch("ConfigMap", "b", {"metadata": {"labels": {"app": "db"}}}, "shop")
    assert next(events)["type"] == "DELETED"
    events.close()  # type: ignore[attr-defined]
    replay = client.watch("ConfigMap", since=first["metadata"]["resourceVersion"])
    assert [next(replay)["type"] for _ in range(3)] == ["ADDED", "MODIFIED", "MODIFIED"]
    replay.close()  # type: ignore[attr-defined]
    listed = client.stream("GET", "/api/v1/configmaps?watch=true&sendInitialEvents=true&timeoutSeconds=1")
    assert [event["type"] for event in listed] == ["ADDED", "ADDED", "BOOKMARK"]


def test_watching_from_too_long_ago(tmp_path: Path) -> None:
    server = Server(tmp_path / "s")
    try:
        server.store._log = type(server.store._log)(server.store.resource_version, 1)
        for name in ("a", "b", "c"):
            server.do(server.store.create, config(name))
        with pytest.raises(ApiError) as caught:
            next(Client(server.path).watch("ConfigMap", since="1"))
        assert (caught.value.code, caught.value.reason) == (410, "Expired")
    finally:
        server.stop()


def test_changes_stream(server: Server, client: Client) -> None:
    client.create(config("a"))
    changes = client.changes(["ConfigMap", "Pod"])
    sync = next(changes)
    assert (sync["type"], sync["resourceVersion"]) == ("SYNC", "3")
    assert [obj["metadata"]["name"] for obj in sync["objects"]] == ["a"]
    server.do(
        lambda: [
            server.store.create(config("b")),
            server.store.create(pod()),
            server.store.create(sample("Service")),
        ]
    )
    change = next(changes)
    assert [(event["type"], event["object"]["kind"]) for event in change["events"]] == [
        ("ADDED", "ConfigMap"),
        ("ADDED", "Pod"),
    ]
    assert (change["type"], change["resourceVersion"]) == ("CHANGES", "6")
    server.do(server.store.delete, Key("ConfigMap", "shop", "a"))
    assert next(changes)["events"][0]["type"] == "DELETED"
    changes.close()  # type: ignore[attr-defined]


def test_readers_that_leave_are_forgotten(
    server: Server, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, forgotten = server.store._log, threading.Event()
    unregister = log.unregister

    def told(waker: asyncio.Event) -> None:
        unregister(waker)
        forgotten.set()

    monkeypatch.setattr(log, "unregister", told)
    changes = client.changes(["ConfigMap"])
    next(changes)
    changes.close()  # type: ignore[attr-defined]
    assert forgotten.wait(5)
    assert server.do(lambda: len(log._wakers)) == 0

"""Lives of pods, with a network and containers that only take notes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from emulator.api.objects import JsonObject, key_of
from emulator.api.store import Store
from emulator.engine.pods import PodLifecycle
from emulator.engine.programming import Programming
from emulator.engine.pulse import Pulse

Note = tuple[str, str]


class Ground:
    """Network, containers and Services at once. Containers end when they are told that they may."""

    def __init__(self) -> None:
        self.notes: list[Note] = []
        self.news = asyncio.Event()
        self.may_end = asyncio.Event()

    def attach(self, pods: Sequence[JsonObject]) -> None:
        self.notes += [("attach", pod["metadata"]["uid"]) for pod in pods]

    def detach(self, pods: Sequence[JsonObject]) -> None:
        self.notes += [("detach", pod["metadata"]["uid"]) for pod in pods]

    async def left(self, pod: JsonObject) -> None:
        """Nobody is sent to it."""

    async def start(self, pod: JsonObject) -> None:
        self.note("start", pod)

    async def stop(self, pod: JsonObject, grace_seconds: float) -> None:
        self.note("stopping", pod)
        await self.may_end.wait()

    def note(self, what: str, pod: JsonObject) -> None:
        self.notes.append((what, pod["metadata"]["uid"]))
        self.news.set()

    async def until(self, note: Note) -> None:
        async with asyncio.timeout(10):
            while note not in self.notes:
                self.news.clear()
                await self.news.wait()


def pod() -> JsonObject:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "db-0", "namespace": "default"},
        "spec": {"nodeName": "worker-1", "containers": [{"name": "main", "image": "pause"}]},
        "status": {"phase": "Pending", "podIP": "10.244.1.2", "podIPs": [{"ip": "10.244.1.2"}]},
    }


def placed(store: Store) -> JsonObject:
    """A pod that is stored, and has its node and address."""
    created = store.create(pod())
    return store.replace_status({**created, "status": pod()["status"]})


def test_a_pod_waits_until_the_one_that_had_its_name_is_gone() -> None:
    """Both have one place: an interface that is attached early would leave with the old one's."""

    async def play() -> list[Note]:
        store, ground, programming = Store(), Ground(), Programming(Pulse())
        store.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "default"}})
        programming.acknowledge({"resourceVersion": "999", "bridges": {}})
        lives = asyncio.ensure_future(PodLifecycle(store, ground, ground, programming, ground).run())
        old = placed(store)
        await ground.until(("start", old["metadata"]["uid"]))
        store.delete(key_of(old), grace_seconds=0)
        new = placed(store)
        await ground.until(("stopping", old["metadata"]["uid"]))
        ground.may_end.set()
        await ground.until(("start", new["metadata"]["uid"]))
        lives.cancel()
        names = {old["metadata"]["uid"]: "old", new["metadata"]["uid"]: "new"}
        return [(what, names[uid]) for what, uid in ground.notes]

    assert asyncio.run(play()) == [
        ("attach", "old"),
        ("start", "old"),
        ("stopping", "old"),
        ("detach", "old"),
        ("attach", "new"),
        ("start", "new"),
    ]

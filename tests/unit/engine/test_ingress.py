"""Proxies are kept at what the objects say; the trouble of one is not that of another."""

from __future__ import annotations

import asyncio

from emulator.api.objects import JsonObject, Key
from emulator.engine.ingress import IngressProxies
from emulator.engine.pulse import Pulse
from emulator.workloads.proxy import Files
from tests.unit.ingress.objects import IngressLab, controller_pod, ingress, rule


class Runtime:
    """Takes configurations, as some pods do and some do not."""

    def __init__(self) -> None:
        self.taken: dict[str, Files] = {}

    async def configure(self, pod: JsonObject, _container: str, files: Files) -> str:
        name = pod["metadata"]["name"]
        if name == "broken":
            raise OSError("no such socket")
        if name == "picky":
            return "unknown keyword"
        self.taken[name] = files
        return ""


def scene() -> tuple[IngressLab, IngressProxies, Runtime]:
    lab = IngressLab(controller_pod(name="broken"), controller_pod(name="picky"))
    return lab, IngressProxies(lab.store, lab.wiring, Pulse()), Runtime()


def test_a_change_reaches_every_proxy_before_it_is_in_force() -> None:
    async def follow() -> None:
        lab, proxies, runtime = scene()
        changes = lab.store.watch()
        running = asyncio.create_task(proxies.run(runtime.configure))
        await asyncio.sleep(0)
        lab.apply(ingress("x", rule("foo.com", ("Prefix", "/", "a"))))
        for event in changes.pending():
            proxies.note(event)
        assert list(proxies.missing()) == ["an ingress controller has not taken the latest configuration"]
        async with asyncio.timeout(10):
            await proxies.caught_up()
        assert list(proxies.missing()) == []
        assert runtime.taken["controller"]["prefix.map"] == "foo.com/ default_a_80\n"
        running.cancel()

    asyncio.run(follow())


def test_what_one_refuses_is_told_until_it_is_gone() -> None:
    async def follow() -> None:
        lab, proxies, runtime = scene()
        changes = lab.store.watch()
        running = asyncio.create_task(proxies.run(runtime.configure))
        await asyncio.sleep(0)
        lab.apply(ingress("x", rule("foo.com", ("Prefix", "/", "a"))))
        for event in changes.pending():
            proxies.note(event)
        async with asyncio.timeout(10):
            await proxies.caught_up()
        assert sorted(line.split(":")[0] for line in proxies.refused()) == [
            "ingress controller default/broken",
            "ingress controller default/picky",
        ]
        assert set(runtime.taken) == {"controller"}
        for name in ("broken", "picky", "controller"):
            lab.store.delete(Key("Pod", "default", name), grace_seconds=0)
        for event in changes.pending():
            proxies.note(event)
        async with asyncio.timeout(10):
            await proxies.caught_up()
        assert list(proxies.missing()) == []
        assert list(proxies.refused()) == []
        running.cancel()

    asyncio.run(follow())

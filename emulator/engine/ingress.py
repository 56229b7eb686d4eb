"""Ingress controllers: keeps the proxies in their pods at what the objects say."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from functools import cached_property

from emulator.api.objects import JsonObject, Key, key_of
from emulator.api.store import Store
from emulator.api.watch import Event, EventType
from emulator.cluster.ingress.controllers import Controller, controllers_in, running_in
from emulator.cluster.ingress.haproxy import Listening, configuration
from emulator.cluster.ingress.routing import route
from emulator.cluster.pods import addresses
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.wiring import Wiring
from emulator.engine.pulse import Pulse
from emulator.workloads.proxy import Files

log = logging.getLogger(__name__)

_KINDS = frozenset({"Pod", "Ingress", "IngressClass", "Service", "EndpointSlice", "Secret"})
_ANY_ADDRESS = {4: "0.0.0.0", 6: "::"}

Configure = Callable[[JsonObject, str, Files], Awaitable[str]]
"""Gives the proxy in a pod's container its files; returns what is wrong with them, empty when nothing is."""


class IngressProxies:
    """Follows the objects; a change is in force when `missing` no longer names it."""

    def __init__(self, store: Store, wiring: Wiring, pulse: Pulse) -> None:
        self._store = store
        self._wiring = wiring
        self._pulse = pulse
        self._wanted_version = 0
        self._version = 0
        self._found: tuple[Controller, ...] = ()
        """The controllers as of the last look; one that is newer starts with what is true then."""
        self._refused: dict[str, str] = {}
        """Place of a controller's pod → why HAProxy did not take its newest configuration."""

    async def run(self, configure: Configure) -> None:
        """Follow the store for ever."""
        watch = self._store.watch(_KINDS)
        pods = {key_of(pod): pod for pod in self._store.list("Pod") if _runs_proxy(pod)}
        while True:
            version = self._store.resource_version
            self._found = tuple(one for key in sorted(pods) for one in running_in(pods[key]))
            if self._found:
                await asyncio.gather(*(self._bring(one, configure) for one in self._found))
            self._version = version
            places = set(map(_place, self._found))
            self._refused = {place: why for place, why in self._refused.items() if place in places}
            self._pulse.beat()
            for event in await watch.batch():
                if event.object["kind"] == "Pod":
                    _follow(pods, event)

    def note(self, event: Event) -> None:
        """Something has changed: it may be something that proxies have to be told."""
        if event.object["kind"] in _KINDS:
            self._wanted_version = event.resource_version

    def files(self, pod: JsonObject, container: str) -> Files:
        """The configuration of the proxy in a container, as the objects are now."""
        controller = next(one for one in controllers_in(pod) if one.container == container)
        routed = route(self._snapshot(), controller, datetime.now(UTC))
        listening = Listening(
            tuple(_ANY_ADDRESS[version] for version in sorted({one.version for one in addresses(pod)})),
            controller.http,
            controller.https,
            controller.health,
            self._default_certificate,
        )
        return configuration(routed.routing, listening)

    async def caught_up(self) -> None:
        """Return when all proxies have taken what has been noted by now; at once where there are none."""
        wanted = self._wanted_version
        await self._pulse.until(lambda: self._version >= wanted or not self._found)

    def missing(self) -> Iterator[str]:
        """What readiness waits for."""
        if self._version < self._wanted_version and self._found:
            yield "an ingress controller has not taken the latest configuration"

    def refused(self) -> Iterator[str]:
        """Configurations that HAProxy did not take, which is a mistake of ours; the last good ones stay."""
        for place, why in self._refused.items():
            said = "HAProxy refuses its new configuration, the last good one stays"
            yield f"ingress controller {place}: {said}: {why}"

    async def _bring(self, controller: Controller, configure: Configure) -> None:
        place, pod, container = _place(controller), controller.pod, controller.container
        try:
            why = await configure(pod, container, self.files(pod, container))
        except Exception as error:  # one controller's trouble is not the cluster's
            log.exception("%s", place)
            why = repr(error)
        if why:
            log.error("%s: configuration refused: %s", place, why)
            self._refused[place] = why
        else:
            self._refused.pop(place, None)

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._store.objects(), self._wiring)

    @cached_property
    def _default_certificate(self) -> str:
        """What is shown for names that no Ingress has a certificate for; made when first wanted."""
        from emulator.cluster.ingress.selfsigned import self_signed

        certificate, key = self_signed(["ingress.local"], datetime.now(UTC), "Ingress controller default")
        return certificate + key


def _runs_proxy(pod: JsonObject) -> bool:
    return any(True for _ in controllers_in(pod))


def _follow(pods: dict[Key, JsonObject], event: Event) -> None:
    """Keep `pods` those that run a proxy: most pods never do, and there may be a thousand of them."""
    key = key_of(event.object)
    if event.type is not EventType.DELETED and _runs_proxy(event.object):
        pods[key] = event.object
    else:
        pods.pop(key, None)


def _place(controller: Controller) -> str:
    metadata = controller.pod["metadata"]
    return f"{metadata['namespace']}/{metadata['name']}"

"""Holds the BIRDs of a cluster to what its objects say, and knows what the routers have learned.

A change of objects becomes new configurations of the nodes concerned; their BIRDs read them without dropping
a session. *Ready* then means that each router's kernel has exactly the routes that its nodes advertise.
Nodes that cannot speak, because their BIRD is held down, their session disabled or their cable dead, are not
waited for.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from emulator.api.store import Store
from emulator.cluster.advertisement import Routes, Speaker, advertised, expected_routes, peerings
from emulator.cluster.bird import node_config, router_config, session
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.state import state_of
from emulator.cluster.wiring import IPNetwork, LinuxRouter, Wiring
from emulator.engine.birds import birds
from emulator.engine.pulse import Pulse
from emulator.network.birdc import configure, disabled, write_routes_again
from emulator.network.errors import NetworkError
from emulator.network.names import netns_path
from emulator.network.routes import RouteMonitor
from emulator.sandbox import control

_WATCHED = frozenset({"Service", "EndpointSlice", "Node"})
_PATIENCE = 5.0
_HELD, _NEVER_RAN = "held", None

log = logging.getLogger(__name__)


class Advertising:
    """What the nodes of a cluster say over BGP. Idle where the topology has no router of kind `bgp`."""

    def __init__(self, store: Store, wiring: Wiring, run_dir: Path, pulse: Pulse) -> None:
        self._store = store
        self._wiring = wiring
        self._control = run_dir / "control.sock"
        self._pulse = pulse
        self._birds = birds(wiring, run_dir)
        self._written: dict[str, str] = {}
        """The configuration of each place."""
        self._prefixes: Mapping[str, tuple[IPNetwork, ...]] = {}
        self._seen = -1
        """The version of the objects up to which all BIRDs have been told."""
        self._monitors: dict[str, RouteMonitor] = {}
        self._routes: dict[str, Routes] = {}
        self._dead: frozenset[str] = frozenset()
        """Nodes whose cable is dead."""
        self._held: frozenset[str] = frozenset()
        """Places whose BIRD is held down."""
        self._disabled: frozenset[Speaker] = frozenset()
        """Sessions that somebody has disabled, at either end."""
        self._refresh = asyncio.Event()

    async def run(self) -> None:
        """Start all BIRDs and follow the store for ever. The network must have been built."""
        if not self._birds:
            return
        watch = self._store.watch()
        await self._advertise()
        for router in self._wiring.routers:
            monitor = await asyncio.to_thread(RouteMonitor.open, netns_path(router.place))
            self._monitors[router.name] = monitor
            asyncio.get_running_loop().add_reader(monitor.news, self._look, router)
            self._look(router)
        await self._release()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow_units())
            while True:
                self._seen = watch.resource_version
                self._pulse.beat()
                if any(event.object["kind"] in _WATCHED for event in await watch.batch()):
                    await self._advertise()

    async def catch_up(self) -> None:
        """Learn who is not to speak now: somebody may just have released a BIRD, or disabled a session."""
        if self._monitors:
            await self._ask_everybody()

    def missing(self) -> Iterator[str]:
        """What the routers have not learned yet, or not forgotten, a phrase each."""
        if not self._birds:
            return
        if len(self._monitors) < len(self._wiring.routers):
            yield "the routers' BGP has not come up"
            return
        if self._seen < self._store.resource_version:
            yield "the nodes do not advertise the latest objects yet"
        silent = self._silent()
        for router in self._wiring.routers:
            if router.place in self._held:
                continue
            expected = expected_routes(self._wiring, router, self._prefixes, silent)
            yield from _differences(router, expected, self._routes.get(router.name, {}))

    def compared(self) -> Iterator[tuple[LinuxRouter, Routes, Routes]]:
        """Each router, with the routes that its nodes should have told it and those that its kernel has."""
        for router in self._wiring.routers if self._monitors else ():
            expected = expected_routes(self._wiring, router, self._prefixes, frozenset())
            yield router, expected, self._routes.get(router.name, {})

    async def write_again(self, places: Iterable[str]) -> None:
        """Have routers write what they have learned into their kernels anew."""
        for place in places:
            try:
                await write_routes_again(self._birds[place])
            except NetworkError as error:
                log.error("%s", error)

    def _silent(self) -> frozenset[Speaker]:
        """Sessions that are not there for a reason that time does not mend."""
        dumb = {node.removeprefix("node/") for node in self._held} | self._dead
        return self._disabled | {(node, version) for node in dumb for version in (4, 6)}

    # -- what the nodes say

    async def _advertise(self) -> None:
        prefixes = advertised(state_of(Snapshot(self._store.objects(), self._wiring)))
        await asyncio.gather(*(self._configure(place, text) for place, text in self._configs(prefixes)))
        self._prefixes = prefixes

    def _configs(self, prefixes: Mapping[str, tuple[IPNetwork, ...]]) -> Iterator[tuple[str, str]]:
        for peering in peerings(self._wiring):
            name = peering.node.name
            yield f"node/{name}", node_config(self._wiring, peering, prefixes.get(name, ()))
        for router in self._wiring.routers:
            yield router.place, router_config(self._wiring, router)

    async def _configure(self, place: str, config: str) -> None:
        if self._written.get(place) == config:
            return
        self._birds[place].write(config)
        self._written[place] = config
        try:
            await configure(self._birds[place])
        except NetworkError as error:
            log.error("%s", error)

    # -- what the routers know

    def _look(self, router: LinuxRouter) -> None:
        """Read the router's routes and cables; called after every change to them."""
        monitor = self._monitors[router.name]
        monitor.drain()
        self._routes[router.name] = monitor.routes()
        carriers = monitor.carriers()
        own = {i.peer.removeprefix("node/"): i.name for i in router.interfaces if i.is_subnet}
        dead = {node for node, interface in own.items() if not carriers.get(interface)}
        self._dead = (self._dead - own.keys()) | dead
        self._refresh.set()
        self._pulse.beat()

    # -- who may speak

    async def _follow_units(self) -> None:
        """A change of routes may come from a BIRD that was held down or released, or from a session's end."""
        while True:
            await self._refresh.wait()
            self._refresh.clear()
            try:
                await self._ask_everybody()
            except TimeoutError:
                log.warning("the sandbox does not tell which BIRDs run")

    async def _ask_everybody(self) -> None:
        units = await self._control_units()
        held = (place for place, bird in self._birds.items() if units[bird.unit]["state"] == _HELD)
        self._held = frozenset(held)
        names = dict(
            zip(self._birds, await asyncio.gather(*map(disabled, self._birds.values())), strict=True)
        )
        self._disabled = frozenset(
            (peering.node.name, version)
            for peering in peerings(self._wiring)
            for version in (4, 6)
            if session(peering.router.name, version) in names[f"node/{peering.node.name}"]
            or session(peering.node.name, version) in names[peering.router.place]
        )
        self._pulse.beat()

    async def _release(self) -> None:
        """Let those start that have never run: what a user holds down stays down when the engine restarts."""
        units = await self._control_units()
        for bird in self._birds.values():
            unit = units[bird.unit]
            if unit["state"] == _HELD and unit["lastExit"] is _NEVER_RAN:
                await self._request({"do": "release", "service": bird.unit})
        await self._ask_everybody()

    async def _control_units(self) -> control.Message:
        answer = await self._request({"do": "status"})
        services: control.Message = answer["services"]
        return services

    async def _request(self, request: control.Message) -> control.Message:
        return await asyncio.to_thread(control.ask, self._control, request, timeout=_PATIENCE)


def _differences(router: LinuxRouter, expected: Routes, found: Routes) -> Iterable[str]:
    for prefix in sorted(expected.keys() | found.keys(), key=str):
        wanted, there = expected.get(prefix, frozenset()), found.get(prefix, frozenset())
        for hop in sorted(wanted - there, key=str):
            yield f"{router.place} has no route to {prefix} through {hop} yet"
        for hop in sorted(there - wanted, key=str):
            yield f"{router.place} still has a route to {prefix} through {hop}"

"""The engine: one process that holds a cluster's objects, network and pods together."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Collection, Iterator
from datetime import UTC, datetime
from pathlib import Path

from emulator.api.objects import Key
from emulator.api.store import Store
from emulator.cluster.admission import Admission
from emulator.cluster.cloud import pending
from emulator.cluster.dns.addon import cluster_dns, internet_resolver_of
from emulator.cluster.dns.internet import InternetNames
from emulator.cluster.ingress.status import complaints
from emulator.cluster.node_life import is_lost
from emulator.cluster.plan import wire
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.topology import parse_topology
from emulator.engine import proxies
from emulator.engine.advertising import Advertising
from emulator.engine.apiserver import CertificateError, make_certificate, serve_api
from emulator.engine.faults.injector import Injector
from emulator.engine.faults.links import troubled_links
from emulator.engine.health_checks import HealthChecks
from emulator.engine.heartbeats import Heartbeats
from emulator.engine.ingress import IngressProxies
from emulator.engine.kubelets import Kubelets
from emulator.engine.naming import dns_settings
from emulator.engine.options import Options
from emulator.engine.plumbing import PodPlumbing
from emulator.engine.pods import PodLifecycle
from emulator.engine.programming import Programming
from emulator.engine.proxies import Proxies
from emulator.engine.pulse import Pulse
from emulator.engine.readiness import Readiness, failing_pods, unready_workloads, unsettled_pods
from emulator.engine.reconciler import Reconciler
from emulator.engine.relaying import relay_of
from emulator.engine.withdrawal import WATCHED_BY_CONTROLLER, Withdrawal
from emulator.network.errors import NetworkError
from emulator.network.names import netns_path
from emulator.network.network import Network, Settings
from emulator.probes.workshop import Workshop
from emulator.workloads.servers.names import internet_resolver
from emulator.workloads.servers.outside import internet_host
from emulator.workloads.servers.serving import Serving

log = logging.getLogger(__name__)

_WORKLOADS = ("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet")
"""What says which generation of it has been acted on; a Job does not."""


class Engine:
    """Everything that runs in the engine's process."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.options = Options.from_environment()
        self.wiring = wire(parse_topology(self.options.topology))
        admission = Admission(self.wiring, lambda kind: self.store.list(kind))
        self.store = Store(run_dir / "journal", admission.admit)
        self.pulse = Pulse()
        self.programming = Programming(self.pulse)
        self.controller_arrived = asyncio.Event()
        self._controllers = 0
        """How many follow the changes now."""
        self.network_built = False
        self.impossible = ""
        """Why this machine cannot run the topology; empty while it can."""
        self.workshop = Workshop()
        """Builds crafted packets; its process, a quarter of all memory, starts with the first of them."""
        settings = Settings(
            ovs=Path(os.environ["OVS_RUNDIR"]), datapath=self.options.datapath, offload=self.options.offload
        )
        self.network = Network(self.wiring, settings, relay_of(run_dir))
        self._reconciler = Reconciler(self.store, self.wiring, self.pulse)
        self.proxies = IngressProxies(self.store, self.wiring, self.pulse)
        self.kubelets = Kubelets(
            run_dir,
            self.store,
            dns_settings(self.wiring),
            lambda: self._reconciler.has_run,
            self.proxies.files,
        )
        self._heartbeats = Heartbeats(self.store, self.wiring)
        self.advertising = Advertising(self.store, self.wiring, run_dir, self.pulse)
        self._health_checks = HealthChecks(self.store, self.wiring, self.pulse)
        names = [node.name for node in self.wiring.nodes]
        self.kube_proxies = Proxies(self.store, names, self.programming, self.pulse)
        self._proxied_version = 1
        """The last version at which an object changed that proxies tell of over HTTP. They tell of nothing
        before they have looked once, also after a restart."""
        self.faults = Injector(self)
        self._afflicted: frozenset[int] = frozenset()
        """The switch processes that know of the faults."""
        self._outside: list[Serving] = []
        self._flow_version = 0
        """The last version at which an object changed that the controller looks at."""

    async def run(self, serving: Callable[[], None]) -> None:
        """Hold the cluster until cancelled; `serving` is called once objects can be read and written."""
        key = Key("Topology", "", self.options.topology["metadata"]["name"])
        if self.store.find(key) is None:
            self.store.create(self.options.topology)
            for obj in cluster_dns(self.wiring):
                self.store.create(obj)
        self.kubelets.recall()
        plumbing = PodPlumbing(self.network, self.wiring)
        withdrawal = Withdrawal(self.store, self._reconciler, self.programming, self.proxies, self.pulse)
        pods = PodLifecycle(self.store, plumbing, self.kubelets, self.programming, withdrawal)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow())
            tasks.create_task(self._reconciler.run())
            tasks.create_task(self.kubelets.run())
            tasks.create_task(self.proxies.run(self.kubelets.configure))
            serving()
            log.info("serving")
            certificate = tasks.create_task(
                asyncio.to_thread(make_certificate, self.wiring, self.run_dir / "api-server.pem")
            )
            await self.kubelets.open()
            # A bridge that finds its controller listening connects at once; else it retries a second later.
            await self.controller_arrived.wait()
            log.info("the controller listens")
            try:
                await self._build(plumbing, certificate)
            except (NetworkError, CertificateError) as error:
                # Starting again would not help: whoever waits is told, and the rest stays for inspection.
                log.exception("the network cannot be built")
                self.impossible = str(error)
                self.pulse.beat()
                return
            self._heartbeats.listen()
            tasks.create_task(pods.run())
            tasks.create_task(self.advertising.run())
            tasks.create_task(self._health_checks.run())
            tasks.create_task(self.kube_proxies.run())
            tasks.create_task(self._follow_switch())

    async def _build(self, plumbing: PodPlumbing, certificate: Awaitable[Path]) -> None:
        troubled = troubled_links(self.wiring.links, self.faults.active)
        await asyncio.to_thread(self.network.build, troubled)
        await asyncio.to_thread(plumbing.adopt, self.store.list("Pod"))
        for host in self.wiring.external:
            place = f"ext/{host.name}"
            self._outside.append(await Serving.start(internet_host(place), netns_path(place)))
        await self._serve_names()
        self._outside += await serve_api(self.wiring, await certificate)
        log.info("the network is built")
        self.network_built = True
        await self.faults.resume()
        self.pulse.beat()

    async def _serve_names(self) -> None:
        """Start the internet's resolver."""
        names = InternetNames.of(self.wiring.external)
        resolver = internet_resolver_of(self.wiring)
        if resolver:
            program = await asyncio.to_thread(internet_resolver, names)
            self._outside.append(await Serving.start(program, netns_path(f"ext/{resolver}")))

    async def greet_controller(self) -> None:
        """The controller listens: for the first time, or again after its death."""
        self._controllers += 1
        self.controller_arrived.set()
        self.pulse.beat()
        if self.network_built:
            await asyncio.to_thread(self.redial, [bridge.name for bridge in self.wiring.bridges])

    @property
    def has_controller(self) -> bool:
        """Whether a controller follows the changes now."""
        return self._controllers > 0

    def redial(self, bridges: Collection[str]) -> None:
        """Have bridges dial their controller again: each is given its whole program anew. Blocks."""
        self.network.reconnect(bridges)

    def miss_controller(self) -> None:
        """It no longer follows the changes: what it said last may not hold, and will be said again."""
        self._controllers -= 1
        if not self._controllers:
            self.programming.forget()

    async def wait_ready(self, timeout: float) -> Readiness:
        """Wait until everything in the store is in force, or `timeout` seconds."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        await self.advertising.catch_up()
        try:
            async with asyncio.timeout(timeout):
                await self.pulse.until(lambda: bool(self.impossible) or not any(self._missing()))
        except TimeoutError:
            pass
        missing = tuple(self._missing())
        failing = tuple(failing_pods(self.store.list("Pod")))
        snapshot = self.snapshot()
        told = (*pending(snapshot), *complaints(snapshot, datetime.now(UTC)), *self.proxies.refused())
        return Readiness(not missing, missing, failing, loop.time() - started, self.impossible, told)

    @property
    def flows_are_current(self) -> bool:
        """Whether the switches have confirmed what the objects say now."""
        return self.programming.resource_version >= self._flow_version

    def snapshot(self) -> Snapshot:
        """All objects, now."""
        return Snapshot(self.store.objects(), self.wiring)

    def _missing(self) -> Iterator[str]:
        """What readiness waits for, a phrase each."""
        if not self.controller_arrived.is_set():
            yield "the OpenFlow controller has not come up"
        elif not self.network_built:
            yield "the network is being built"
        elif not self._controllers:
            yield "the OpenFlow controller restarts"
        elif self.programming.processes - {self.network.switch_process()}:
            yield "Open vSwitch has restarted and waits for its flows"
        if not self._reconciler.is_settled:
            yield "the control loops have not seen the latest objects"
        for kind in _WORKLOADS:
            yield from unready_workloads(self.store.list(kind))
        lost = {node["metadata"]["name"] for node in self.store.list("Node") if is_lost(node)}
        waited_for = (pod for pod in self.store.list("Pod") if not self.kubelets.is_troubled(pod))
        yield from unsettled_pods(waited_for, lost)
        yield from self._health_checks.missing()
        yield from self.proxies.missing()
        if self.programming.resource_version < self._flow_version:
            yield "the switches have not confirmed the latest flows"
        elif self.kube_proxies.version < self._proxied_version:
            yield "the nodes' health checks do not tell of the latest endpoints"
        elif self.faults.active and self._afflicted != self.programming.processes:
            yield "the faults do not hold in the new switch yet"
        yield from self.advertising.missing()
        for error in self.programming.errors:
            yield f"a switch refused its program: {error}"

    async def _follow_switch(self) -> None:
        """Faults that sit in Open vSwitch have to be told to one that came anew."""
        programming = self.programming
        while True:
            await self.pulse.until(lambda: programming.processes != self._afflicted)
            told = programming.processes
            await self.faults.resume()
            self._afflicted = told
            self.pulse.beat()

    async def _follow(self) -> None:
        watch = self.store.watch()
        self._flow_version = self.store.resource_version
        while True:
            self.pulse.beat()
            for event in await watch.batch():
                self.proxies.note(event)
                if event.object["kind"] in WATCHED_BY_CONTROLLER:
                    self._flow_version = event.resource_version
                if event.object["kind"] in proxies.KINDS:
                    self._proxied_version = event.resource_version

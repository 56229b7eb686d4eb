"""The load balancer's health checks: real requests from its own stack, verdicts in the Topology's status.

Which node is asked what follows from the objects (`emulator.cluster.targets`). A node that ought to answer
otherwise than before, because a Service's endpoints moved, is asked at once and again at each interval.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from emulator.api.objects import JsonObject, Key
from emulator.api.store import Store
from emulator.cluster.changes import apply_changes
from emulator.cluster.cloud import COMPONENT
from emulator.cluster.events import News, told
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.targets import PATH, Check, Targets, expected, recorded, targets
from emulator.cluster.wiring import Balancer, Wiring
from emulator.engine.pulse import Pulse
from emulator.network.names import netns_path
from emulator.workloads.probing import ProbeError, Schedule, Target, attempt, watch

log = logging.getLogger(__name__)

_SAYS_NO = "statuscode: 503"
_KINDS = frozenset({"Topology", "Node", "Service", "EndpointSlice"})


@dataclass(slots=True)
class _Inquiry:
    """One check that goes on."""

    task: asyncio.Task[None]
    wanted: bool
    """What the node ought to answer."""
    attempts: int = 0
    """Since it was asked for the first time, or its answer ought to have changed."""
    healthy: bool | None = None
    """None until there is a verdict."""
    message: str = "not checked yet"
    was_told: bool = False
    """Whether an Event has said that the node is not well."""


class HealthChecks:
    """All checks of the topology's load balancer; nothing at all where there is none."""

    def __init__(self, store: Store, wiring: Wiring, pulse: Pulse) -> None:
        self._store = store
        self._pulse = pulse
        self._wiring = wiring
        self._inquiries: dict[Check, _Inquiry] = {}
        self._targets: Targets = {}
        self._seen = store.watch(_KINDS)

    async def run(self) -> None:
        """Follow the objects for ever. The network must have been built."""
        balancer = self._wiring.balancer
        if balancer is None:
            return
        self._recall()
        try:
            while True:
                self._follow(balancer)
                await self._seen.batch()
        finally:
            for inquiry in self._inquiries.values():
                inquiry.task.cancel()

    def missing(self) -> Iterator[str]:
        """What is not settled: a phrase for each node whose verdict will change soon."""
        balancer = self._wiring.balancer
        if balancer is None:
            return
        if self._store.watch(_KINDS, self._seen.resource_version).pending():
            yield "the load balancer has not seen the latest objects"
        enough = balancer.check.healthy + balancer.check.unhealthy
        for (namespace, name), nodes in self._targets.items():
            for node, check in nodes.items():
                inquiry = self._inquiries.get(check)
                if inquiry and inquiry.healthy is not inquiry.wanted and inquiry.attempts < enough:
                    yield f"service {namespace}/{name}: the load balancer checks {node}"

    # -- what is asked -----------------------------------------------------------------------------

    def _recall(self) -> None:
        """What an earlier engine knew holds until the first answer: connections go on meanwhile."""
        snapshot = self._snapshot()
        known = recorded(next(iter(snapshot.all("Topology")), None))
        for (namespace, name), nodes in targets(snapshot).items():
            for node, check in nodes.items():
                verdict = known.get(f"{namespace}/{name}", {}).get(node)
                if verdict:
                    self._begin(check, wanted=True)
                    self._inquiries[check].healthy = bool(verdict.get("healthy"))
                    self._inquiries[check].message = str(verdict.get("message", ""))

    def _follow(self, balancer: Balancer) -> None:
        snapshot = self._snapshot()
        self._targets, wanted = targets(snapshot), expected(snapshot)
        for check in self._inquiries.keys() - wanted.keys():
            self._inquiries.pop(check).task.cancel()
        for check, well in wanted.items():
            inquiry = self._inquiries.get(check)
            if inquiry is None:
                self._begin(check, wanted=well)
            elif inquiry.wanted is not well:
                inquiry.task.cancel()
                inquiry.wanted, inquiry.attempts = well, 0
                inquiry.task = self._task(check, balancer)
        self._record()

    def _begin(self, check: Check, *, wanted: bool) -> None:
        assert self._wiring.balancer is not None
        self._inquiries[check] = _Inquiry(self._task(check, self._wiring.balancer), wanted)

    def _task(self, check: Check, balancer: Balancer) -> asyncio.Task[None]:
        when = balancer.check
        schedule = Schedule(0.0, when.interval, when.timeout, when.healthy, when.unhealthy)
        netns = netns_path(balancer.place)

        async def ask() -> None:
            await self._ask(check, netns, when.timeout)

        def tell(well: bool, message: str) -> None:  # noqa: FBT001 - the form that `watch` tells in
            self._tell(check, message if not well else "", well=well)

        return asyncio.get_running_loop().create_task(watch(schedule, ask, tell))

    async def _ask(self, check: Check, netns: Path, timeout: float) -> None:
        action = {"httpGet": {"port": check.port, "path": PATH, "host": check.address}}
        try:
            await attempt(action, Target(netns, check.address, {}, _no_command), timeout)
        finally:
            inquiry = self._inquiries.get(check)
            if inquiry is not None and inquiry.task is asyncio.current_task():
                inquiry.attempts += 1
                asyncio.get_running_loop().call_soon(self._pulse.beat)

    # -- what came of it ---------------------------------------------------------------------------

    def _tell(self, check: Check, message: str, *, well: bool) -> None:
        inquiry = self._inquiries.get(check)
        if inquiry is None:
            return
        before, inquiry.healthy, inquiry.message = inquiry.healthy, well, message
        if before is not well:
            log.info("%s: %s", check, message or "healthy")
            # A node that says itself that it has no endpoints, and has none, is no news.
            worth_telling = inquiry.wanted or _SAYS_NO not in message
            if (well and inquiry.was_told) or (not well and worth_telling):
                inquiry.was_told = not well
                self._announce(check, message, well=well)
        self._record()

    def _record(self) -> None:
        """Write the verdicts down, if they are not what stands there."""
        topology = next(iter(self._store.list("Topology")), None)
        found = {
            f"{namespace}/{name}": {node: self._verdict(check) for node, check in nodes.items()}
            for (namespace, name), nodes in self._targets.items()
        }
        if topology is not None and recorded(topology) != found:
            status = {**(topology.get("status") or {}), "loadBalancer": {"targets": found}}
            self._store.replace_status({**topology, "status": status})

    def _verdict(self, check: Check) -> JsonObject:
        inquiry = self._inquiries.get(check)
        if inquiry is None:
            return {"healthy": False, "message": "not checked yet", "check": str(check)}
        return {"healthy": bool(inquiry.healthy), "message": inquiry.message, "check": str(check)}

    def _announce(self, check: Check, message: str, *, well: bool) -> None:
        """Tell of it in an Event about each Service concerned."""
        for (namespace, name), nodes in self._targets.items():
            service = self._store.find(Key("Service", namespace, name))
            if nodes.get(check.node) != check or service is None:
                continue
            kind, reason = ("Normal", "NodeHealthy") if well else ("Warning", "NodeUnhealthy")
            said = "answers, and gets connections" if well else f"gets no new connections: {message}"
            news = News(service, reason, f"{check.node} {said}", COMPONENT, kind)
            change = told(news, self._store.find(news.key), datetime.now(UTC))
            for refusal in apply_changes(self._store, (change,)):
                log.info("event about %s/%s lost: %s", namespace, name, refusal.error)

    def _snapshot(self) -> Snapshot:
        return Snapshot(self._store.objects(), self._wiring)


async def _no_command(_command: Mapping[str, str] | tuple[str, ...]) -> tuple[int, bytes]:
    raise ProbeError("a load balancer runs no commands")

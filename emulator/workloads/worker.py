"""Keeps one container as its specification wants it: starts, probes, restarts and ends it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from emulator.api.objects import JsonObject
from emulator.workloads.blueprint import Blueprint, ConfigError, Workshop
from emulator.workloads.containers import Process, StartError
from emulator.workloads.images import Run
from emulator.workloads.incarnations import CommandRun, Exit, Incarnation, Place, ServedRun, run_and_read
from emulator.workloads.logs import Log
from emulator.workloads.mishaps import Victim
from emulator.workloads.probing import ProbeError, Schedule, Target, attempt, until_listening, watch
from emulator.workloads.proxy import Files, ProxyRun
from emulator.workloads.records import Record, Running, Terminated, Waiting
from emulator.workloads.timing import Timing, duration

_HOOK_SECONDS = 30.0
_SETTLING_SECONDS = 1.0
_KILLED = 137
"""128 and SIGKILL."""


class Host(Protocol):
    """What a container's worker needs of its pod."""

    pod: JsonObject
    place: Place
    workshop: Workshop
    timing: Timing
    node_netns: Path

    def changed(self) -> None:
        """The container's record is another one now."""

    def note(self, kind: str, reason: str, message: str) -> None:
        """Something happened that an Event tells (`kind` is Normal or Warning)."""

    async def objects_changed(self) -> None:
        """Wait until an object changes that containers may refer to."""


class ContainerWorker:
    """One container of a pod, through all of its runs."""

    def __init__(self, host: Host, container: JsonObject, record: Record, policy: str) -> None:
        self._host = host
        self._container = container
        self._policy = policy
        self.record = record
        self.started = asyncio.Event()
        """It runs, and its startup probe has succeeded."""
        self._log: Log | None = None
        self._blueprint: Blueprint | None = None
        self._incarnation: Incarnation | None = None
        self._began = datetime.now(UTC)
        self._backoff = 0.0
        self._backed_off_at = self._began
        self._ending = asyncio.Event()
        self._killing: asyncio.Task[None] | None = None
        self._struck = False
        self._mended = asyncio.Event()
        self._passes = False
        """Whether it is ready as far as its probes are concerned."""

    @property
    def name(self) -> str:
        """The container's name."""
        return str(self._container["name"])

    async def run(self) -> None:
        """Live through all runs. Returns when the restart policy asks for no more, or after `end`."""
        while not self._ending.is_set():
            blueprint = await self._prepare()
            if blueprint is None:
                return
            exited = await self._live(blueprint)
            if self._ending.is_set() or not self._restarts(exited):
                return
            await self._back_off()

    async def end(self, grace: float) -> None:
        """End it: its preStop hook and SIGTERM share `grace` seconds, then it is killed."""
        self._ending.set()
        if self._incarnation is None or self._incarnation.exited.done():
            return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + grace
        hook = (self._container.get("lifecycle") or {}).get("preStop")
        if hook and grace:
            await self._stop_hook(hook, grace)
        await self._incarnation.end(max(0.0, deadline - loop.time()))

    def wait_to_start(self, message: str = "") -> None:
        """It is this one's turn; `message` says what it waits for."""
        self._become(Waiting("ContainerCreating", message))

    @property
    def is_proxy(self) -> bool:
        """Whether its present or last run is that of an ingress proxy."""
        return self._blueprint is not None and self._blueprint.proxy is not None

    async def strike(self) -> None:
        """Kill it, as if it had crashed; returns when it has died."""
        if self._incarnation is not None and not self._incarnation.exited.done():
            self._struck = True
            await self._incarnation.end(0.0)

    def reconsider(self) -> None:
        """Mishaps have come or gone: it crashes, or may start at once; it may be ready or not."""
        if self._crashes:
            self._mended.clear()
            self._killing = asyncio.get_running_loop().create_task(self.strike())
        else:
            self._mended.set()
        if isinstance(self.record.state, Running):
            self._set_ready(self._passes)

    @property
    def _crashes(self) -> bool:
        victim = Victim(self._host.pod, self.name, self.is_proxy)
        return self._host.place.mishaps.crashes(victim)

    async def process(self) -> Process:
        """Its first process. Raises StartError when it does not run."""
        if self._incarnation is None:
            raise StartError("container not running")
        return await self._incarnation.process()

    async def configure(self, files: Files) -> str:
        """Give the ingress proxy in it another configuration; what is wrong with it, empty if nothing.

        One that does not run yet starts with the configuration of that time.
        """
        incarnation = self._incarnation
        return await incarnation.configure(files) if isinstance(incarnation, ProxyRun) else ""

    @property
    def blueprint(self) -> Blueprint | None:
        """What its present or last run was made from."""
        return self._blueprint

    def log(self, run: int) -> Log | None:
        """The log of its present run; None when `run` is not that one."""
        return self._log if run == self.record.restarts else None

    def log_path(self, run: int) -> Path:
        """Where the log of its `run`th restart is kept."""
        return self._host.workshop.logs / self.name / f"{run}.log"

    async def _prepare(self) -> Blueprint | None:
        """What to start, as soon as everything that it refers to is there; None when told to end."""
        while not self._ending.is_set():
            try:
                return self._host.workshop.blueprint(self._host.pod, self._container)
            except ConfigError as error:
                if isinstance(self.record.state, Waiting):
                    self._become(Waiting("CreateContainerConfigError", str(error)))
                self._host.note("Warning", "Failed", f"Error: {error}")
                await _first(self._host.objects_changed(), self._ending.wait())
        return None

    async def _live(self, blueprint: Blueprint) -> Exit:
        """One run, from start to end."""
        again = not isinstance(self.record.state, Waiting) or self.record.last is not None
        run = self.record.restarts + again
        self._blueprint, self._began = blueprint, datetime.now(UTC)
        self._log = Log(self.log_path(run))
        # As kubelet: the present run's log and the one before it.
        self.log_path(run - 2).unlink(missing_ok=True)
        for notice in blueprint.notices:
            self._host.note("Warning", "NotAvailable", f"{self.name}: {notice}")
        self._incarnation = incarnation = self._new_run(blueprint, self._log)
        await incarnation.start()
        if self._ending.is_set() or self._crashes:
            self._struck = self._crashes
            await incarnation.end(0.0)
        self.record = replace(self.record, restarts=run, container_id=f"mininetes://{uuid4().hex}")
        probes: list[asyncio.Task[None]] = []
        if not incarnation.exited.done():
            self._begin(incarnation, probes)
        exited = await asyncio.shield(incarnation.exited)
        if self._struck:
            exited, self._struck = replace(exited, status=_KILLED), False
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        self._log.close()
        self._finish(exited)
        return exited

    def _new_run(self, blueprint: Blueprint, log: Log) -> Incarnation:
        if blueprint.proxy is not None:
            kind: type[CommandRun | ServedRun] = ProxyRun
        else:
            kind = CommandRun if isinstance(blueprint.plan, Run) else ServedRun
        return kind(self._host.pod, self._container, self._host.place, blueprint, log)

    def _begin(self, incarnation: Incarnation, probes: list[asyncio.Task[None]]) -> None:
        """It runs: tell so, and start looking after it."""
        container = self._container
        started = "startupProbe" not in container
        is_command = isinstance(incarnation, CommandRun) and not isinstance(incarnation, ProxyRun)
        ports = self._awaited_ports() if is_command else ()
        ready = started and "readinessProbe" not in container and not ports
        self.record = replace(self.record, started=started, ready=self._judged(ready))
        self._become(Running(self._began))
        if started:
            self.started.set()
        hook = (container.get("lifecycle") or {}).get("postStart")
        loop = asyncio.get_running_loop()
        if hook:
            probes.append(loop.create_task(self._start_hook(hook, incarnation)))
        if ports:
            probes.append(loop.create_task(self._settle(incarnation, ports)))
        if not started:
            probes.append(loop.create_task(self._probe("startupProbe", incarnation, probes)))
        else:
            self._start_probes(incarnation, probes)

    def _awaited_ports(self) -> Sequence[int]:
        """The TCP ports that a command without probes is given a moment to listen on.

        Kubernetes calls such a container ready at once, and whoever calls it at once is refused: nobody
        who waits for readiness wants that.
        """
        if "startupProbe" in self._container or "readinessProbe" in self._container:
            return ()
        ports = self._container.get("ports") or ()
        return [port["containerPort"] for port in ports if (port.get("protocol") or "TCP") == "TCP"]

    async def _settle(self, incarnation: Incarnation, ports: Sequence[int]) -> None:
        process = await incarnation.process()
        await until_listening(process.pid, ports, _SETTLING_SECONDS)
        self._set_ready(True)

    def _start_probes(self, incarnation: Incarnation, probes: list[asyncio.Task[None]]) -> None:
        for kind in ("livenessProbe", "readinessProbe"):
            if kind in self._container:
                probes.append(asyncio.get_running_loop().create_task(self._probe(kind, incarnation, probes)))

    async def _probe(self, kind: str, incarnation: Incarnation, probes: list[asyncio.Task[None]]) -> None:
        probe = self._container[kind]
        schedule = Schedule.of(probe)
        done = asyncio.Event()

        async def try_once() -> None:
            await attempt(probe, self._target(incarnation), schedule.timeout)

        def tell(passes: bool, message: str) -> None:  # noqa: FBT001
            if not passes:
                word = kind.removesuffix("Probe").capitalize()
                self._host.note("Warning", "Unhealthy", f"{word} probe failed: {message}")
            if kind == "readinessProbe":
                self._set_ready(passes)
            elif not passes:
                self._kill(incarnation, probe)
            elif kind == "startupProbe":
                done.set()

        watching = asyncio.get_running_loop().create_task(watch(schedule, try_once, tell))
        try:
            await _first(done.wait(), asyncio.shield(watching))
        finally:
            watching.cancel()
        if done.is_set():
            ready = self._judged("readinessProbe" not in self._container)
            self.record = replace(self.record, started=True, ready=ready)
            self.started.set()
            self._host.changed()
            self._start_probes(incarnation, probes)

    def _kill(self, incarnation: Incarnation, probe: JsonObject) -> None:
        """A liveness or startup probe has given up."""
        self._host.note("Normal", "Killing", f"Container {self.name} failed its probe, will be restarted")
        grace = probe.get("terminationGracePeriodSeconds", self._grace)
        self._killing = asyncio.get_running_loop().create_task(incarnation.end(float(grace)))

    @property
    def _grace(self) -> float:
        grace = self._host.pod["spec"].get("terminationGracePeriodSeconds")
        return 30.0 if grace is None else float(grace)

    def _judged(self, passes: bool) -> bool:  # noqa: FBT001
        """Whether it is ready: its probes say so, and no mishap says otherwise."""
        self._passes = passes
        return passes and not self._host.place.mishaps.is_unready(self._host.pod)

    def _set_ready(self, passes: bool) -> None:  # noqa: FBT001
        ready = self._judged(passes)
        if self.record.ready != ready:
            self.record = replace(self.record, ready=ready)
            self._host.changed()

    def _target(self, incarnation: Incarnation) -> Target:
        async def run(argv: tuple[str, ...]) -> tuple[int, bytes]:
            assert self._blueprint is not None
            return await run_and_read(incarnation, self._host.place.containers, self._blueprint, argv)

        named = {
            port["name"]: port["containerPort"]
            for port in self._container.get("ports") or ()
            if port.get("name")
        }
        address = (self._host.pod.get("status") or {}).get("podIP") or "127.0.0.1"
        return Target(self._host.node_netns, address, named, run)

    async def _start_hook(self, hook: JsonObject, incarnation: Incarnation) -> None:
        try:
            await attempt(hook, self._target(incarnation), _HOOK_SECONDS)
        except ProbeError as error:
            self._host.note("Warning", "FailedPostStartHook", f"PostStartHook failed: {error}")
            await incarnation.end(self._grace)

    async def _stop_hook(self, hook: JsonObject, grace: float) -> None:
        assert self._incarnation is not None
        try:
            if "sleep" in hook:
                await asyncio.wait(
                    {self._incarnation.exited}, timeout=min(grace, float(hook["sleep"]["seconds"]))
                )
            else:
                await attempt(hook, self._target(self._incarnation), grace)
        except ProbeError as error:
            self._host.note("Warning", "FailedPreStopHook", f"PreStopHook failed: {error}")

    def _finish(self, exited: Exit) -> None:
        message = exited.message
        if (
            exited.status
            and not message
            and self._container.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        ):
            assert self._log is not None
            message = self._log.text()[-2048:].decode(errors="replace")
        self.started.clear()
        self._become(
            Terminated(
                exit_code=exited.status,
                reason=exited.reason,
                started=self._began,
                finished=datetime.now(UTC),
                message=message,
                container_id=self.record.container_id,
            )
        )

    def _restarts(self, exited: Exit) -> bool:
        return self._policy == "Always" or (self._policy == "OnFailure" and exited.status != 0)

    async def _back_off(self) -> None:
        """Wait as long as kubelet would: not at all at first, then 10 s, 20 s, 40 s and so on."""
        timing, now = self._host.timing, datetime.now(UTC)
        if now - self._backed_off_at > timedelta(seconds=timing.forgiven):
            self._backoff = 0.0
        delay = self._backoff
        if delay:
            metadata = self._host.pod["metadata"]
            where = f"{metadata['name']}_{metadata['namespace']}({metadata.get('uid', '')})"
            message = f"back-off {duration(delay)} restarting failed container={self.name} pod={where}"
            self._become(Waiting("CrashLoopBackOff", message))
            self._host.note("Warning", "BackOff", f"Back-off restarting failed container {self.name}")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._ended_or_mended()
                    self._backoff = 0.0
                    return
        self._backoff = min(timing.longest_backoff, delay * 2 or timing.backoff)
        self._backed_off_at = datetime.now(UTC)

    async def _ended_or_mended(self) -> None:
        if not self._crashes:
            self._mended.clear()  # what was mended before this crash does not count
        await _first(self._ending.wait(), self._mended.wait())

    def _become(self, state: Waiting | Running | Terminated) -> None:
        self.record = self.record.with_state(state)
        self._host.changed()


async def _first(*waits: object) -> None:
    """Wait for whichever comes first, and leave the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]  # type: ignore[call-overload]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()

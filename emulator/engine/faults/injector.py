"""The faults of a cluster: asked for over the run's socket, kept with its objects, undone in the end."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from emulator.api.errors import ApiError, bad_request
from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject
from emulator.cluster.faults.catalogue import kind_of_fault
from emulator.cluster.faults.fault import Fault, faults_in, named, new_name
from emulator.cluster.faults.kind import SEED, FaultMistake, nearest
from emulator.engine.faults.registry import HANDLERS

if TYPE_CHECKING:
    from emulator.engine.daemon import Engine

_SEEDS = 1 << 31

log = logging.getLogger(__name__)


class Injector:
    """Injects and clears, one fault at a time."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._handlers = {name: make(engine) for name, make in HANDLERS.items()}
        self._lock = asyncio.Lock()

    @property
    def active(self) -> tuple[Fault, ...]:
        """What the cluster suffers from now, the oldest first."""
        return faults_in(self._engine.store.list("Topology"))

    async def inject(self, body: JsonObject) -> Fault:
        """Make the fault of `{"fault", "arguments"}` happen; returns when it has. Raises ApiError."""
        if not self._engine.network_built:
            raise ApiError(503, "ServiceUnavailable", "the network is still being built")
        async with self._lock:
            try:
                fault = await self._planned(body)
            except FaultMistake as mistake:
                raise refusal(mistake) from None
            lasts = kind_of_fault(fault.kind).lasts
            if lasts:
                self._keep((*self.active, fault))
            try:
                await self._handlers[fault.kind].impose(fault)
            except BaseException:
                if lasts:
                    await self._undo(fault)
                raise
            log.info("%s: %s", fault.name, "; ".join(fault.did))
            return fault

    async def clear(self, words: Iterable[str]) -> tuple[Fault, ...]:
        """Undo faults by name or kind, all without words, the newest first; returns when all is as it was.

        Raises ApiError 404 for a word that means none.
        """
        async with self._lock:
            chosen = self._chosen(tuple(words))
            for fault in reversed(chosen):
                await self._undo(fault)
                log.info("%s cleared", fault.name)
            return chosen

    async def resume(self) -> None:
        """Let the active faults hold after a restart of the engine or of Open vSwitch."""
        async with self._lock:
            for fault in self.active:
                try:
                    await self._handlers[fault.kind].resume(fault)
                except Exception:
                    log.exception("%s does not hold any more", fault.name)

    async def _planned(self, body: JsonObject) -> Fault:
        kind = kind_of_fault(str(body.get("fault", "")))
        given = body.get("arguments") or {}
        if not isinstance(given, dict):
            raise FaultMistake("arguments", f"must be a mapping, is {given!r}")
        given = dict(given)
        if SEED in kind.parameters and "seed" not in given:
            given["seed"] = secrets.randbelow(_SEEDS)
        arguments = kind.arguments(given)
        plan = await self._handlers[kind.name].plan(arguments)
        return Fault(
            name=new_name(kind.name, self.active),
            kind=kind.name,
            arguments=arguments,
            since=timestamp(datetime.now(UTC)),
            did=plan.did,
            memo=plan.memo,
        )

    async def _undo(self, fault: Fault) -> None:
        """Forget it first: what watches over the network then agrees that it is to be whole again."""
        self._keep(one for one in self.active if one.name != fault.name)
        try:
            await self._handlers[fault.kind].clear(fault)
        except BaseException:
            self._keep((*self.active, fault))
            raise

    def _chosen(self, words: tuple[str, ...]) -> tuple[Fault, ...]:
        active = self.active
        if not words:
            return active
        wanted: set[str] = set()
        for word in words:
            found = named(active, word)
            if not found:
                known = sorted({name for fault in active for name in (fault.name, fault.kind)})
                hint = nearest(word, known) or f"active: {', '.join(f.name for f in active) or 'none'}"
                raise ApiError(404, "NotFound", f"no fault {word!r} is active; {hint}")
            wanted.update(fault.name for fault in found)
        return tuple(fault for fault in active if fault.name in wanted)

    def _keep(self, faults: Iterable[Fault]) -> None:
        store = self._engine.store
        topology = store.list("Topology")[0]
        metadata = {name: value for name, value in topology["metadata"].items() if name != "resourceVersion"}
        status = {**(topology.get("status") or {}), "faults": [fault.record() for fault in faults]}
        store.replace_status({**topology, "metadata": metadata, "status": status})


def refusal(mistake: FaultMistake) -> ApiError:
    """A mistake as the client hears of it."""
    where = f"{mistake.field}: " if mistake.field and mistake.field not in str(mistake) else ""
    hint = f" ({mistake.hint})" if mistake.hint else ""
    return bad_request(f"{where}{mistake}{hint}")


def summary(faults: Iterable[Fault]) -> JsonObject:
    """The answer to `GET /mininetes/v1/faults`."""
    items = [fault.as_json() for fault in faults]
    return {"apiVersion": "mininetes.io/v1", "kind": "FaultList", "items": items}

"""Whether nodes are heard of: a kubelet whose node has lost its wire to the fabric tells nobody anything.

Kubelets renew a Lease every ten seconds. Here all of them live in one process, so what can silence one is
its wire, and the kernel says when that goes: `ip link set n2-up down` at the prompt of `mininetes shell`
is a node's end, as far as anybody can see, and `up` brings it back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject, Key
from emulator.api.store import Store
from emulator.cluster.node_life import NODE_MONITOR_GRACE
from emulator.cluster.pods import condition
from emulator.cluster.wiring import BridgeRole, PortRole, Wiring
from emulator.network.carrier import CarrierWatch

log = logging.getLogger(__name__)


class Heartbeats:
    """Writes the condition Ready of nodes that fall silent or are heard of again."""

    def __init__(self, store: Store, wiring: Wiring) -> None:
        self._store = store
        self._uplinks = {node: tuple(names) for node, names in _uplinks(wiring) if names}
        self._watch: CarrierWatch | None = None
        self._doubts: dict[str, asyncio.TimerHandle] = {}
        """Nodes that are silent but not yet lost."""

    def listen(self) -> None:
        """Begin. The network must have been built; belongs to the event loop's thread."""
        names = [name for uplinks in self._uplinks.values() for name in uplinks]
        self._watch = CarrierWatch(names)
        asyncio.get_running_loop().add_reader(self._watch.fileno(), self._hear)
        self._judge()

    def _hear(self) -> None:
        assert self._watch is not None
        self._watch.read()
        self._judge()

    def _judge(self) -> None:
        assert self._watch is not None
        carriers = self._watch.carriers
        for node, uplinks in self._uplinks.items():
            if any(carriers[name] for name in uplinks):
                doubt = self._doubts.pop(node, None)
                if doubt is not None:
                    doubt.cancel()
                self._report(node, "True", "KubeletReady", "kubelet is posting ready status")
            elif node not in self._doubts:
                self._doubts[node] = asyncio.get_running_loop().call_later(
                    NODE_MONITOR_GRACE, self._give_up, node
                )

    def _give_up(self, node: str) -> None:
        self._report(node, "Unknown", "NodeStatusUnknown", "Kubelet stopped posting node status.")

    def _report(self, name: str, value: str, reason: str, message: str) -> None:
        """Write the condition. A node that says itself that it is not ready is believed."""
        node = self._store.find(Key("Node", "", name))
        ready = condition(node, "Ready") if node is not None else None
        if node is None or ready is None or ready.get("status") == value:
            return
        if value == "True" and ready.get("reason") != "NodeStatusUnknown":
            return
        now = timestamp(datetime.now(UTC))
        new = {**ready, "status": value, "reason": reason, "message": message, "lastTransitionTime": now}
        if value == "True":
            new["lastHeartbeatTime"] = now
        log.info("node %s: Ready is %s", name, value)
        self._store.replace_status(_with_condition(node, new))


def _with_condition(node: JsonObject, new: JsonObject) -> JsonObject:
    conditions = [new if one["type"] == new["type"] else one for one in node["status"]["conditions"]]
    metadata = {field: value for field, value in node["metadata"].items() if field != "resourceVersion"}
    return {**node, "metadata": metadata, "status": {**node["status"], "conditions": conditions}}


def _uplinks(wiring: Wiring) -> Iterator[tuple[str, list[str]]]:
    for bridge in wiring.bridges:
        if bridge.role is BridgeRole.NODE:
            node = bridge.place.removeprefix("node/")
            yield node, [port.name for port in bridge.ports if port.role is PortRole.UPLINK]

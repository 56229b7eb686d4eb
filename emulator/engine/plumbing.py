"""Pods, as the network wants them: a place, a node and a port."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from emulator.api.objects import JsonObject
from emulator.cluster.host_ports import host_ports
from emulator.cluster.ipam import port_at
from emulator.cluster.pods import addresses, is_host_network, node_name, place_of
from emulator.cluster.state import container_ports
from emulator.cluster.wiring import Wiring
from emulator.network.names import netns_path
from emulator.network.network import Network, PodAttachment


class PodPlumbing:
    """Attaches pods to the network. Methods block; call them from a thread."""

    def __init__(self, network: Network, wiring: Wiring) -> None:
        self._network = network
        self._wiring = wiring

    def attach(self, pods: Sequence[JsonObject]) -> None:
        """Give pods their interface; those of the host network use their node's."""
        self._network.attach(list(self._attachments(pods)))

    def adopt(self, pods: Sequence[JsonObject]) -> None:
        """After a restart: keep what these pods have, and take away what belongs to no pod any more."""
        self._network.adopt(list(self._attachments(pods)))

    def detach(self, pods: Sequence[JsonObject]) -> None:
        """Take pods off the network."""
        self._network.detach(list(self._attachments(pods)))

    def _attachments(self, pods: Iterable[JsonObject]) -> Iterable[PodAttachment]:
        for pod in pods:
            node = node_name(pod)
            found = addresses(pod)
            if not is_host_network(pod) and node and found:
                port = port_at(self._wiring, node, found)
                if port is not None:
                    claimed = tuple(host_ports(container_ports(pod), found))
                    yield PodAttachment(place_of(pod), node, port, claimed)


def netns_of(pod: JsonObject) -> Path:
    """The network namespace that the pod's containers live in."""
    return netns_path(f"node/{node_name(pod)}" if is_host_network(pod) else place_of(pod))

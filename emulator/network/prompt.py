"""`python -m emulator.network.prompt`: Mininet's prompt over the network of the sandbox it runs in."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from emulator.api.client import Client
from emulator.api.objects import JsonObject
from emulator.cluster.ipam import port_at
from emulator.cluster.plan import wire
from emulator.cluster.pods import addresses, is_finished, is_host_network, node_name, place_of
from emulator.cluster.topology import parse_topology
from emulator.cluster.wiring import Wiring
from emulator.network.cli import PlaceCLI, print_to_stdout
from emulator.network.kubenet import KubeNet
from emulator.network.network import PodAttachment, Settings, add_pod, sketch


class View:
    """A KubeNet over a network that somebody else built, kept like the objects in the store."""

    def __init__(self, client: Client, settings: Settings) -> None:
        self.net = KubeNet()
        self._client = client
        self._wiring = wire(parse_topology(client.list("Topology")[0]))
        self._shown: dict[str, PodAttachment] = {}
        sketch(self.net, self._wiring, settings)
        self.refresh()

    def refresh(self) -> None:
        """Show the pods that came, forget those that went."""
        pods = [pod for pod in self._client.list("Pod") if node_name(pod) and not is_finished(pod)]
        wanted = {pod.place: pod for pod in _attachments(pods, self._wiring)}
        gone = [place for place, shown in self._shown.items() if wanted.get(place) != shown]
        self.net.forget(gone)
        for place in gone:
            del self._shown[place]
        for place, pod in wanted.items():
            if place not in self._shown:
                add_pod(self.net, self._wiring, pod, offload=False)
                self._shown[place] = pod
        for pod_object in pods:
            if is_host_network(pod_object):
                self.net.alias(place_of(pod_object), f"node/{node_name(pod_object)}")


def _attachments(pods: list[JsonObject], wiring: Wiring) -> Iterator[PodAttachment]:
    for pod in pods:
        if is_host_network(pod):
            continue
        node = node_name(pod)
        port = port_at(wiring, node, addresses(pod))
        if port is not None:
            yield PodAttachment(place_of(pod), node, port)


def main() -> int:
    """Run the prompt on standard input."""
    settings = Settings(ovs=Path(os.environ.get("OVS_RUNDIR", "/run/openvswitch")))
    view = View(Client(os.environ["MININETES_SOCKET"]), settings)
    print_to_stdout()
    try:
        PlaceCLI(view.net, view.refresh)
    finally:
        for node in view.net.values():
            node.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())

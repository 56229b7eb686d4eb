"""Flows changed behind the controller's back, and what comes of it."""

from __future__ import annotations

from collections.abc import Iterable

from emulator import Cluster
from tests.system.hygiene import inside
from tests.system.living import until
from tests.system.oracles.objects import Object
from tests.system.processes import PATIENCE

OFCTL = ("ovs-ofctl", "-O", "OpenFlow13", "--no-names")


def ofctl(cluster: Cluster, *words: str) -> str:
    """`ovs-ofctl` where the cluster's switches are."""
    return inside(cluster, *OFCTL, *words)


def named(flow: Object) -> str:
    """As ovs-ofctl takes a flow that is to be found."""
    words = (f"table={flow['table']}", f"priority={flow['priority']}", flow["match"])
    return ",".join(filter(None, words))


def delete(cluster: Cluster, bridge: str, *flows: Object) -> None:
    """One by one, as somebody would who mistypes."""
    for flow in flows:
        ofctl(cluster, "--strict", "del-flows", bridge, named(flow))


def alter(cluster: Cluster, bridge: str, flow: Object) -> None:
    """It drops what it matches."""
    ofctl(cluster, "--strict", "mod-flows", bridge, f"{named(flow)} actions=drop")


def computed(cluster: Cluster, node: str) -> list[Object]:
    """The flows that the controller has installed."""
    return [flow for flow in cluster.flows(node) if not flow["learned"]]


def flow_of(cluster: Cluster, node: str, stage: str, owner: str, name: str, within: str = "") -> Object:
    """The first such flow; `within` stands in its match."""
    wanted = (stage, owner, name)
    return next(
        flow
        for flow in cluster.flows(node)
        if (flow["stage"], flow["owner"], flow["name"]) == wanted and within in flow["match"]
    )


class Log:
    """What the controller writes from now on."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._before = self._all()

    def _all(self) -> str:
        return self._cluster.sandbox.log("controller", 1_000_000)

    @property
    def text(self) -> str:
        """What it has written since."""
        return self._all().removeprefix(self._before)

    def await_repairs(self, lines: Iterable[str]) -> None:
        """Until it has told all of them; a flow may be right before the controller knows who was at it."""
        wanted = [f"put right what somebody else {line}" for line in lines]

        def told() -> bool:
            text = self.text
            return all(line in text for line in wanted)

        until(told, PATIENCE)


def await_whole(cluster: Cluster) -> None:
    """Until the switches hold what was computed."""
    until(lambda: cluster.drift()["items"] == [], PATIENCE)

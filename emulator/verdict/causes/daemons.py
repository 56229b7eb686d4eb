"""Causes in what programs the switches: the controller, a node's proxy, connection tracking."""

from __future__ import annotations

from collections.abc import Iterator

from emulator.api.objects import JsonObject
from emulator.verdict.causes import path
from emulator.verdict.diagnose.diagnosis import Cause, Code
from emulator.verdict.diagnose.evidence import Evidence

CONTROLLER_DOWN = Code(
    "controller-down",
    "The controller does not run: flows stay as they were when it stopped, whatever changes",
    "start the controller again",
)
PROXY_STALE = Code(
    "kube-proxy-not-syncing",
    "kube-proxy does not run on a node: its rules for Services are those of the past",
    "start kube-proxy on the node again",
)
CONNTRACK_FULL = Code(
    "conntrack-full",
    "Connection tracking has no room for new connections: they are dropped, and the ones that exist go on",
    "raise the limit, or let fewer or shorter connections exist",
)
STALE_CONNECTION = Code(
    "stale-conntrack",
    "Connection tracking remembers an endpoint that serves no more, and a client that goes on from the same "
    "port is sent there",
    "delete the entry, or let the client use another port",
)
SWITCH_DOWN = Code(
    "switch-down",
    "Open vSwitch, which forwards for all nodes, does not answer",
    "wait until it is started again, and see its log where it is not",
)
CODES = (SWITCH_DOWN, CONTROLLER_DOWN, PROXY_STALE, CONNTRACK_FULL, STALE_CONNECTION)


def switch_down(evidence: Evidence) -> Cause | None:
    """Nobody forwards."""
    if evidence.sights.switch_answers or not path.fails(evidence):
        return None
    said = "ovs-vswitchd does not answer, and no packet passes a node or a router without it"
    return Cause(SWITCH_DOWN, "Switch/all", said, SWITCH_DOWN.remedy)


def conntrack_full(evidence: Evidence) -> Cause | None:
    """A bridge on the way tracks as many connections as it may."""
    if not path.fails(evidence):
        return None
    passed = {*path.stations(evidence), *(f"node/{name}" for name in path.nodes(evidence)), ""}
    for zone in evidence.sights.zones:
        if zone.is_full and zone.place in passed:
            kind, _, name = (zone.place or "switch/all").partition("/")
            said = f"{zone.place or 'the switch'} tracks {zone.count} connections, and may track {zone.limit}"
            return Cause(
                CONNTRACK_FULL,
                f"{kind.title()}/{name}",
                said,
                CONNTRACK_FULL.remedy,
                "echo 'sh ovs-appctl dpctl/ct-get-limits' | mininetes shell",
            )
    return None


def proxy_stale(evidence: Evidence) -> Cause | None:
    """A proxy on the way is silent, and its node's flows for Services are not what is computed."""
    if not path.fails(evidence):
        return None
    passed = path.nodes(evidence)
    if evidence.supposed:
        # Where nothing was sent, the first node is the one that would translate, if there is what to.
        passed = passed[:1] if evidence.service() is not None else ()
    for name in passed:
        items = [item for item in _of_services(evidence) if item.get("node") == name]
        if name in evidence.sights.silent_proxies and items:
            said = (
                f"nobody answers at {name}:10256/healthz, and {len(items)} flows for Services there are stale"
            )
            return Cause(
                PROXY_STALE,
                f"Node/{name}",
                said,
                PROXY_STALE.remedy,
                f"mininetes diff {name}",
            )
    return None


def controller_down(evidence: Evidence) -> Cause | None:
    """Nobody computes flows, and those that are there are not what they should be."""
    flows = [item for item in evidence.drift if item.get("kind", "flow") == "flow"]
    if evidence.sights.controller_follows or not flows or not path.fails(evidence):
        return None
    if evidence.sights.is_current and not evidence.supposed:
        return None  # it did all that there is to do before it went: somebody else has changed the flows
    said = f"no controller is connected, and {len(flows)} flows are not as the objects ask"
    return Cause(CONTROLLER_DOWN, "Controller/openflow", said, CONTROLLER_DOWN.remedy, "mininetes diff")


def stale_connection(evidence: Evidence) -> Cause | None:
    """A connection of this client goes on to somebody who serves no more."""
    if not evidence.sights.stale:
        return None
    one = evidence.sights.stale[0]
    service = evidence.service()
    names = (service["metadata"]["namespace"], service["metadata"]["name"]) if service else ()
    owner = "/".join(("Service", *names)) if names else str(evidence.asked.target)
    (source, port), (answers, behind) = one.source, one.answers
    said = f"what {source} sends from port {port} goes to {answers}:{behind}, which serves {owner} no more"
    flush = f"ovs-appctl dpctl/flush-conntrack zone={one.zone} '{one.tuple}'"
    return Cause(
        STALE_CONNECTION,
        owner,
        said,
        STALE_CONNECTION.remedy,
        "echo 'sh ovs-appctl dpctl/dump-conntrack' | mininetes shell",
        f'echo "sh {flush}" | mininetes shell',
    )


def _of_services(evidence: Evidence) -> Iterator[JsonObject]:
    flows = (item for item in evidence.drift if item.get("kind", "flow") == "flow")
    return (item for item in flows if str(item.get("owner", "")).startswith("Service/"))

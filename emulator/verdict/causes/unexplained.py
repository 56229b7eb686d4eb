"""What is left when no cause explains it: the answers contradict each other."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from emulator.api.objects import JsonObject
from emulator.cluster.outcome import Outcome
from emulator.verdict.diagnose.diagnosis import Cause, Code
from emulator.verdict.diagnose.evidence import Evidence

DRIFTED = Code(
    "flows-differ",
    "What a switch or the kernel holds on the way is not what was computed or planned",
    "have it put right",
)
TABLES = Code(
    "tables-against-manifests",
    "The installed flows do something else than the manifests ask for, although they are what was computed",
    "report it: either Mininetes reads the manifests wrongly, or it computes the wrong flows",
)
PACKETS = Code(
    "packets-against-tables",
    "Packets fare otherwise than the installed flows say",
    "look at links, routes and processes on the way: capture at both ends and compare",
)
CODES = (DRIFTED, TABLES, PACKETS)
THINGS: Mapping[str, str] = MappingProxyType(
    {
        "flow": "a flow",
        "meter": "a meter",
        "group": "a group",
        "link": "an interface",
        "mtu": "an MTU",
        "mac": "a MAC address",
        "port": "a port of Open vSwitch",
        "address": "an address",
        "route": "a route",
        "rule": "a routing rule",
        "neighbour": "a neighbour entry",
        "tunnel": "a VXLAN forwarding entry",
        "sysctl": "a sysctl",
        "bgp-route": "a route learned over BGP",
    }
)
"""The kinds of `diff`, as a sentence has them."""
_FAULTS: Mapping[str, str] = MappingProxyType(
    {"missing": "missing", "extra": "there and nobody's", "altered": "altered"}
)


def drifted(evidence: Evidence) -> Cause | None:
    """Something differs on the way of the packet, and something does not fit."""
    if not evidence.answers.difference:
        return None
    items = [item for item in evidence.drift if item.get("node") in _on_the_way(evidence)]
    if not items:
        return None
    node = str(items[0]["node"])
    here = [item for item in items if item["node"] == node]
    kind = "Node" if any(node == one.name for one in evidence.state.wiring.nodes) else "Router"
    name = node.removeprefix("router/")
    more = f" (and {len(here) - 1} more)" if len(here) > 1 else ""
    sentence = f"{node}: {_differs(here[0])}{more}"
    return Cause(DRIFTED, f"{kind}/{name}", sentence, DRIFTED.remedy, f"mininetes diff {name}")


def _differs(item: JsonObject) -> str:
    """What differs, where and of whom: `a flow is missing in SNAT, of Node/worker-1`."""
    kind = str(item.get("kind", "flow"))
    where = str(item.get("place", "")).removeprefix("node/")
    of_whom = f" of {where}" if where not in ("", item["node"]) else ""
    which = f" ({item['object']})" if item.get("object") else ""
    stage = f" in {item['stage']}" if item.get("stage") else ""
    owner = f", of {item['owner']}" if item.get("owner") and not of_whom else ""
    return f"{THINGS.get(kind, kind)}{of_whom}{which} is {_FAULTS[item['fault']]}{stage}{owner}"


def _on_the_way(evidence: Evidence) -> set[str]:
    trace = evidence.answers.trace
    found = {hop.node.removeprefix("node/") for hop in trace.hops} if trace else set()
    for place in (evidence.source, *evidence.arrivals()):
        pod = evidence.typed_pod(place) if place else None
        found.add(pod.node if pod else place.removeprefix("node/"))
    return found


def tables_against_manifests(evidence: Evidence) -> Cause | None:
    """Spec and trace contradict each other."""
    answers = evidence.answers
    if answers.difference != "trace" or answers.trace is None:
        return None
    last = answers.trace.decisive
    owner = str(last.owner) if last and last.owner else ""
    where = f", at {last.node} in {last.stage}" if last and last.stage else ""
    said = f"spec says {_told(answers.expected)}, the tables {_told(answers.traced)}{where}"
    return Cause(TABLES, owner or evidence.source, said, TABLES.remedy, _traced(evidence))


def packets_against_tables(evidence: Evidence) -> Cause | None:
    """Trace (or, without one, spec) and wire contradict each other."""
    answers = evidence.answers
    if answers.difference != "wire":
        return None
    before, name = (answers.traced, "the tables say") if answers.traced else (answers.expected, "spec says")
    said = f"{name} {_told(before)}, and packets were {_told(answers.happened)}"
    return Cause(PACKETS, str(evidence.asked.target), said, PACKETS.remedy, f"{_traced(evidence)} --live")


def _traced(evidence: Evidence) -> str:
    port = f" --port {evidence.port}" if evidence.port else ""
    return f"mininetes trace {evidence.asked.source} {evidence.asked.target}{port}"


def _told(outcomes: frozenset[Outcome]) -> str:
    return " or ".join(sorted(outcome.value for outcome in outcomes))

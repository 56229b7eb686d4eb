"""What must hold after every system test: no switch complained, no packet was lost on the way (oracle 90)."""

from __future__ import annotations

import re
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator

from emulator import Cluster

ALLOWED_WARNINGS = {
    r"(receiving Ethernet packet on|receiving data from) p\d+-\d+: Network is down$": "a pod was deleted",
    r"error sending Ethernet packet on p\d+-\d+: No such device or address$": "a pod was deleted",
    r"(receiving|sending) [ \w]+ n\d+-up: Network is down$": "a node's wire was cut",
    r"\|netlink receive buffer overflowed$": "many interfaces came at once, and all are read anew",
    r"\|p\d+-\d+: removing policing failed: No such device$": "a pod was deleted",
    r"\|conntrack\|WARN\|Must flush tuple using the original pre-NATed tuple$": (
        "Open vSwitch 3.1 passes over a connection that is to be forgotten, and is asked again"
    ),
    r"\|upcall_cb failure: ukey installation fails$": (
        "a packet came while what it met was being taken out: it goes on, and a later one is remembered"
    ),
    r"ethtool command \w+ on network device p\d+-\d+ failed: No such device$": "a pod was deleted",
}
"""Patterns of lines that `ovs-vswitchd` may log, each with its reason."""

MUST_BE_ZERO = re.compile(r"datapath_drop_\w+|drop_action_\w+|rconn_(?:discarded|overflow)")
"""Counters of packets and messages that were lost where they should not be."""
FIRST_WORDS = "datapath_drop_upcall_error"
"""Counts packets that come by an interface that is plugged in, but not yet known to belong to a bridge."""
WORDS_OF_AN_INTERFACE = 2
"""Multicast listener reports that Linux sends when an interface gets its IPv6 addresses."""
LAST_WORDS = "datapath_drop_invalid_port"
"""Counts packets on their way to an interface that is unplugged meanwhile, as its pod was deleted."""
DROPPED_ON_PURPOSE = {
    "drop_action_of_pipeline": "a flow without actions is the pipeline's own decision",
    "datapath_drop_userspace_action_error": "so the datapath counts what it has handed to the controller",
}

_SERIOUS = re.compile(r"\|(WARN|ERR|EMER)\|")
_OPENFLOW_ERROR = re.compile(r"sending \w+ error reply")
_COUNTER = re.compile(r"^(\w+)\s.*total: (\d+)$", re.M)
_ZONE = re.compile(r"\bct\(([^()]*(?:\([^()]*\)[^()]*)*)")


def inside(cluster: Cluster, *command: str) -> str:
    """What a command says that runs in the cluster's sandbox."""
    return subprocess.run(cluster.sandbox.command(command), capture_output=True, text=True, check=True).stdout


def switch_log(cluster: Cluster) -> str:
    """Everything that `ovs-vswitchd` logged."""
    log = inside(cluster, "cat", "/run/mininetes/ovs/ovs-vswitchd.log")
    assert "|INFO|" in log, "this is not the switch's log"
    return log


def assert_clean(cluster: Cluster) -> None:
    """Everything below."""
    status = cluster.status()
    assert status["errors"] == []
    assert_nobody_complained(cluster)
    assert_nothing_was_lost(cluster)
    assert_zones_are_separate(cluster, list(status["bridges"]))


def assert_nobody_complained(cluster: Cluster) -> None:
    """No OpenFlow error, no warning of the switch, no error of ours, and nothing had to be restarted."""
    log = switch_log(cluster)
    refused = [line for line in log.splitlines() if _OPENFLOW_ERROR.search(line)]
    assert not refused, "\n".join(refused)
    warnings = [line for line in log.splitlines() if _SERIOUS.search(line)]
    unexpected = [line for line in warnings if not any(re.search(known, line) for known in ALLOWED_WARNINGS)]
    assert not unexpected, "\n".join(unexpected)
    for service in ("controller", "engine"):
        log = cluster.sandbox.log(service, 100_000)
        assert not re.search(r"Traceback|\b(WARNING|ERROR|CRITICAL)\b", log), log
    restarts = {name: unit["restarts"] for name, unit in cluster.sandbox.services().items()}
    assert not any(restarts.values()), restarts


def assert_nothing_was_lost(cluster: Cluster) -> None:
    """No packet exceeded the recirculation budget, failed in the datapath, or overran a port."""
    counters = _counters(cluster)
    lost = {name: int(total) for name, total in counters.items() if MUST_BE_ZERO.fullmatch(name)}
    first_words = WORDS_OF_AN_INTERFACE * switch_log(cluster).count(": added interface ")
    assert lost.pop(FIRST_WORDS, 0) <= first_words
    assert lost.pop(LAST_WORDS, 0) <= switch_log(cluster).count(": deleted interface ")
    assert not lost.keys() - DROPPED_ON_PURPOSE, lost
    show = inside(cluster, "ovs-appctl", "dpctl/show", "--statistics")
    (upcalls_lost,) = re.findall(r"lookups: hit:\d+ missed:\d+ lost:(\d+)", show)
    assert int(upcalls_lost) <= first_words
    faults = re.findall(r"(?:errors|dropped|overruns|aborted|carrier):[1-9]\d*", show)
    assert not faults, show


def _counters(cluster: Cluster) -> dict[str, str]:
    """The switch's counters. Its threads hand them in once a second at most: a young one is asked again."""
    deadline = time.monotonic() + 30
    while True:
        counters = dict(_COUNTER.findall(inside(cluster, "ovs-appctl", "coverage/show")))
        if "ofproto_recv_openflow" in counters:
            return counters
        assert time.monotonic() < deadline, "these are not the switch's counters"


def assert_zones_are_separate(cluster: Cluster, bridges: list[str]) -> None:
    """Bridges share one connection table: no zone is used by two of them, and none is zone 0."""
    users: defaultdict[int, set[str]] = defaultdict(set)
    for bridge in bridges:
        for zone in zones_of(cluster, bridge):
            users[zone].add(bridge)
    assert users
    assert 0 not in users, users
    assert all(len(names) == 1 for names in users.values()), users
    connections = inside(cluster, "ovs-appctl", "dpctl/dump-conntrack").splitlines()
    strangers = [line for line in connections if _zone_of_connection(line) not in users]
    assert not strangers, "\n".join(strangers)


def zones_of(cluster: Cluster, bridge: str) -> Iterator[int]:
    """The zones of every ct action of a bridge; zone 0 where an action names none."""
    flows = inside(cluster, "ovs-ofctl", "-O", "OpenFlow13", "dump-flows", bridge)
    for arguments in _ZONE.findall(flows):
        named = re.search(r"\bzone=(\w+)", arguments)
        yield int(named.group(1), 0) if named else 0


def _zone_of_connection(line: str) -> int:
    found = re.search(r"\bzone=(\d+)", line)
    return int(found.group(1)) if found else 0

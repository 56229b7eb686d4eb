"""ClusterNetworkPolicies between nine pods: each step as packets, objects and flow tables have it.

TCP and UDP, in both families, at once, and in most tests SCTP: rules name the protocols that they mean.
Every step has ways that are open beside those that are shut.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from typing import Any

import yaml

from emulator.probes.swept import NOBODY_LISTENS
from tests.system.hygiene import inside
from tests.system.policies.conftest import Object, Playground, namespace, pod
from tests.system.policies.table import FAMILIES, PORTS, Way, expected

PROTOCOLS = ("tcp", "udp", "sctp")
PATIENCE = {"connected": 8.0, "dropped": 0.6}
"""Seconds: silence is waited out, and an answer for."""
FROM_Y = "from: [{namespaces: {matchLabels: {ns: y}}}]"
FROM_YA = "from: [{pods: {namespaceSelector: {matchLabels: {ns: y}}, podSelector: {matchLabels: {pod: a}}}}]"
ALL_Y = "podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: y}}}]}]"
BOTH = (
    "podSelector: {}, ingress: "
    "[{from: [{namespaceSelector: {matchExpressions: [{key: ns, operator: In, values: [y, z]}]}}]}]"
)
ONLY_TO_Z = (
    "podSelector: {}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {matchLabels: {ns: z}}}]}]"
)
EVERY_80 = ", ".join(f"{{{protocol}: {{destinationPort: {{number: 80}}}}}}" for protocol in PROTOCOLS)


def rules(
    name: str,
    tier: str,
    priority: int,
    *ingress: str,
    egress: Iterable[str] = (),
    subject: str = "namespaces: {matchLabels: {ns: x}}",
    version: str = "v1alpha2",
) -> Object:
    """A policy, about the pods of namespace x if nothing else is said."""
    return {
        "apiVersion": f"policy.networking.k8s.io/{version}",
        "kind": "ClusterNetworkPolicy",
        "metadata": {"name": name},
        "spec": {
            "tier": tier,
            "priority": priority,
            "subject": yaml.safe_load(f"{{{subject}}}"),
            "ingress": [yaml.safe_load(f"{{{rule}}}") for rule in ingress],
            "egress": [yaml.safe_load(f"{{{rule}}}") for rule in egress],
        },
    }


def pods(where: str, name: str) -> str:
    """A pod as a peer or subject."""
    return (
        f"pods: {{namespaceSelector: {{matchLabels: {{ns: {where}}}}}, "
        f"podSelector: {{matchLabels: {{pod: {name}}}}}}}"
    )


def port(protocol: str, matched: str) -> str:
    return f"{{{protocol}: {{destinationPort: {{{matched}}}}}}}"


def assert_all_say(playground: Playground, *rows: str, traced: str = "tcp") -> None:
    """The rows are what wire and spec have, for TCP and UDP alike, and flow tables for one of them; SCTP
    is asked about where it is traced."""
    assert_ways(playground, dict.fromkeys(("tcp", "udp", traced), expected(rows)), (traced,))


def assert_ways(
    playground: Playground, wanted: Mapping[str, set[Way]], traced: Sequence[str] = PROTOCOLS
) -> None:
    wire = {one: playground.reached(one) for one in wanted}
    for protocol, family in product(wanted, FAMILIES):
        ways = {"wire": {way for way in wire[protocol] if way[2] == family}}
        ways |= _said(playground, protocol, family, ("spec", "trace") if protocol in traced else ("spec",))
        meant = {way for way in wanted[protocol] if way[2] == family}
        wrong = {
            who: {"missing": sorted(meant - found), "too many": sorted(found - meant)}
            for who, found in ways.items()
            if found != meant
        }
        assert not wrong, (protocol, family)


def _said(playground: Playground, protocol: str, family: int, who: tuple[str, ...]) -> dict[str, set[Way]]:
    ports = [f"{number}/{protocol}" for number in PORTS]
    report = playground.cluster.matrix(ports, namespaces=["x", "y", "z"], family=family, answers=who)
    return {
        one: {
            (source, target, family, int(asked.split("/")[0]))
            for asked, answers in report["ports"].items()
            for source, row in answers[one].items()
            for target, outcome in row.items()
            if outcome == "connected" and source != target
        }
        for one in who
    }


# -- order -----------------------------------------------------------------------------------------


def test_tiers_priorities_pass_and_changes(playground: Playground) -> None:
    at_80 = f"protocols: [{EVERY_80}]"
    accept, deny = (
        f"action: Accept, {FROM_YA}, {at_80}",
        f"name: fence, action: Deny, {FROM_Y}, {at_80}",
    )
    playground.put(rules("fence", "Admin", 10, accept, deny))
    playground.put(rules("fence", "Admin", 10, deny, accept))
    playground.apply("x", "only-y", ALL_Y)
    assert_all_say(playground, "x/*:80 <-", "x/*:81 <- y/*")
    playground.put(rules("exception", "Admin", 9, f"action: Pass, {FROM_YA}"))
    assert_all_say(playground, "x/*:80 <- y/a", "x/*:81 <- y/*", traced="udp")
    playground.delete("x", "only-y")
    playground.put(rules("floor", "Baseline", 0, "action: Deny, from: [{namespaces: {}}]"))
    assert_all_say(playground, "x/* <-", traced="sctp")
    playground.apply("x", "both", BOTH)
    assert_all_say(playground, "x/*:80 <- z/* y/a", "x/*:81 <- y/* z/*")


def test_admin_beats_network_policies_and_those_beat_the_baseline_in_egress(playground: Playground) -> None:
    """Beside what x sends, who is not selected by a NetworkPolicy falls to the Baseline tier."""
    exceptions = (
        f"action: Accept, to: [{{{pods('y', 'a')}}}]",
        f"action: Pass, to: [{{{pods('y', 'b')}}}]",
        f"action: Deny, to: [{{{pods('z', 'c')}}}]",
    )
    everywhere = "action: Deny, to: [{namespaces: {}}]"
    playground.put(rules("exceptions", "Admin", 60, egress=exceptions))
    playground.apply("x", "only-to-z", ONLY_TO_Z)
    playground.put(rules("floor", "Baseline", 5, egress=[everywhere], subject="namespaces: {}"))
    assert_all_say(playground, "x/* -> y/a z/a z/b", "y/* ->", "z/* ->", traced="sctp")
    playground.delete("x", "only-to-z")
    kept = (f"action: Accept, to: [{{{pods('y', 'b')}}}, {{{pods('y', 'c')}}}]", everywhere)
    playground.put(rules("floor", "Baseline", 5, egress=kept, subject="namespaces: {}"))
    assert_all_say(playground, "x/* -> y/*", "y/* -> y/b y/c", "z/* -> y/b y/c", traced="udp")
    # A policy of a higher priority leaves everything to the next tier, where there is nothing any more.
    playground.put(rules("above", "Admin", 40, egress=["action: Pass, to: [{namespaces: {}}]"]))
    playground.delete("", "floor")
    assert_all_say(playground)
    playground.put(rules("above", "Admin", 61, egress=["action: Pass, to: [{namespaces: {}}]"]))
    assert_all_say(playground, "x/* -> x/* y/* z/a z/b")


def test_policies_of_one_priority_all_count_and_directions_do_not_mix(playground: Playground) -> None:
    """Where two of one priority mean the same packet, the name that comes first decides."""
    at_80, at_81 = f"protocols: [{EVERY_80}]", f"protocols: [{EVERY_80.replace('80', '81')}]"
    deny_y, deny_z = (f"action: Deny, from: [{{namespaces: {{matchLabels: {{ns: {ns}}}}}}}]" for ns in "yz")
    to_z = "action: Deny, to: [{namespaces: {matchLabels: {ns: z}}}]"
    only_y = "namespaces: {matchLabels: {ns: y}}"
    playground.put(rules("b-from-y", "Admin", 7, f"{deny_y}, {at_80}", version="v1beta1"))
    playground.put(rules("c-z", "Admin", 7, f"{deny_z}, {at_80}", egress=[f"{to_z}, {at_80}"]))
    playground.put(rules("d-to-z", "Admin", 7, egress=[f"{to_z}, {at_81}"], subject=only_y))
    playground.put(rules("a-but-ya", "Admin", 7, f"action: Accept, {FROM_YA}"))
    assert_all_say(playground, "x/*:80 <- x/* y/a", "x/*:80 -> x/* y/*", "y/*:81 -> x/* y/*", traced="sctp")


def test_forerunners_with_network_policies_and_successors_between_them(playground: Playground) -> None:
    """AdminNetworkPolicy and BaselineAdminNetworkPolicy, as most texts still have them."""
    admin = f"""
        priority: 30
        subject: {{pods: {{namespaceSelector: {{matchLabels: {{ns: x}}}}, podSelector: {{}}}}}}
        ingress:
        - {{action: Allow, {FROM_YA}, ports: [{{portNumber: {{protocol: TCP, port: 80}}}}]}}
        - {{action: Pass, from: [{{namespaces: {{matchLabels: {{ns: z}}}}}}]}}
        - {{name: rest, action: Deny, {FROM_Y}, ports: [{{portRange: {{start: 80, end: 81}}}}]}}
        egress:
        - {{action: Deny, to: [{{{pods("z", "b")}}}], ports: [{{namedPort: serve-81-udp}}]}}
    """
    baseline = """
        subject: {namespaces: {}}
        ingress:
        - {action: Allow, from: [{namespaces: {matchLabels: {ns: x}}}]}
        - {action: Deny, from: [{namespaces: {}}], ports: [{portNumber: {protocol: SCTP, port: 80}}]}
    """
    playground.put(_forerunner("AdminNetworkPolicy", "admin", admin))
    playground.put(_forerunner("BaselineAdminNetworkPolicy", "default", baseline))
    playground.apply("x", "nobody", "podSelector: {matchLabels: {pod: c}}, policyTypes: [Ingress]")
    wanted = {
        "tcp": ["x/[ab]:80 <- x/* z/* y/a", "x/[ab]:81 <- x/* z/*", "x/c:80 <- y/a", "x/c:81 <-"],
        "udp": ["x/*:81 -> x/* y/* z/a z/c", "x/c <-"],
        "sctp": ["*:80 <- x/*", "x/c <-"],
    }
    assert_ways(playground, {one: expected(rows) for one, rows in wanted.items()})
    # Successors are asked by priority among them: here before the admin's, and before the baseline, which has
    # none.
    playground.put(rules("before-admin", "Admin", 29, f"action: Pass, {FROM_Y}"))
    tcp_81 = f"protocols: [{port('tcp', 'number: 81')}]"
    playground.put(rules("before-baseline", "Baseline", 1000, f"action: Deny, {FROM_Y}, {tcp_81}"))
    assert_ways(playground, {"tcp": expected(["x/[ab]:81 <- x/* z/*", "x/c <-"])})


def _forerunner(kind: str, name: str, spec: str) -> Object:
    return {
        "apiVersion": "policy.networking.k8s.io/v1alpha1",
        "kind": kind,
        "metadata": {"name": name},
        "spec": yaml.safe_load(spec),
    }


# -- peers and ports -------------------------------------------------------------------------------


def test_what_pods_may_send_by_peer_network_and_port(playground: Playground) -> None:
    given = playground.addresses
    to_y, to_zc = (
        "to: [{namespaces: {matchLabels: {ns: y}}}]",
        f"to: [{{networks: [{given['zc4']}/32, '{given['zc6']}/128']}}]",
    )
    egress = (
        f"action: Accept, to: [{{{pods('y', 'a')}}}], protocols: [{port('sctp', 'number: 80')}]",
        f"action: Accept, {to_y}, "
        f"protocols: [{port('tcp', 'number: 81')}, {port('udp', 'range: {start: 80, end: 81}')}]",
        f"action: Deny, {to_y}",
        "action: Deny, to: [{pods: {podSelector: {matchLabels: {pod: b}}}}], "
        "protocols: [{destinationNamedPort: serve-80-tcp}, {destinationNamedPort: serve-81-sctp}]",
        f"action: Deny, {to_zc}, protocols: [{port('udp', 'range: {start: 1, end: 80}')}]",
    )
    playground.put(rules("sends", "Admin", 0, egress=egress))
    wanted = {
        "tcp": expected(["x/*:80 -> x/a x/c z/a z/c"]),
        "udp": expected(["x/*:80 -> x/* y/* z/a z/b"]),
        "sctp": expected(["x/*:80 -> x/* y/a z/*", "x/*:81 -> x/a x/c z/a z/c"]),
    }
    assert_ways(playground, wanted)
    for target, outcome in (("y/b", "dropped"), ("z/b", "connected")):
        ping = playground.cluster.probe("x/a", target, timeout=PATIENCE[outcome])
        assert ping["outcome"] == ping["spec"]["outcome"] == outcome, "without ports a rule means ICMP, too"
    # Networks of one family say nothing of the other one, and mean pods as well.
    narrow = (
        f"action: Accept, to: [{{networks: [{given['ya4']}/32, {given['xb4']}/32]}}]",
        "action: Deny, to: [{networks: [0.0.0.0/0]}]",
    )
    playground.put(rules("narrow", "Baseline", 0, egress=narrow))
    playground.delete("", "sends")
    some = {way for way in expected(["x/* -> y/a x/b"]) if way[2] == 4}
    every = {way for way in expected(()) if way[2] == 6}
    assert_ways(playground, dict.fromkeys(PROTOCOLS, some | every), ["udp"])


def test_nodes_and_hosts_outside_as_peers(playground: Playground) -> None:
    """Also a pod's own node, which NetworkPolicies may not forbid."""
    cluster = playground.cluster
    linux = "to: [{nodes: {matchLabels: {kubernetes.io/os: linux}}}]"
    first = "to: [{nodes: {matchLabels: {kubernetes.io/hostname: worker-1}}}]"
    egress = (
        f"action: Accept, {first}, protocols: [{port('tcp', 'number: 80')}, {port('sctp', 'number: 80')}]",
        f"action: Pass, {linux}, protocols: [{port('udp', 'number: 81')}]",
        f"action: Deny, {linux}",
    )
    server = "to: [{networks: [198.51.100.80/32, '2001:db8:198:51:100::80/128']}]"
    playground.put(rules("nodes", "Admin", 75, egress=egress))
    playground.put(rules("outside", "Baseline", 75, egress=[f"action: Deny, {server}"]))
    nodes, outside = [f"node/worker-{n}" for n in (1, 2, 3)], ["ext/client", "ext/server"]
    open_ = {
        "80/tcp": {"node/worker-1", "ext/client"},
        "80/udp": {"ext/client"},
        "81/udp": {*nodes, "ext/client"},
    }
    for family in FAMILIES:
        answers = ["wire", "spec"] if family == 6 else ["wire", "spec", "trace"]
        report = cluster.matrix(
            list(open_), namespaces=["x"], nodes=True, external=True, family=family, answers=answers
        )
        for asked, wanted in open_.items():
            one = report["ports"][asked]
            for source in ("x/a", "x/b", "x/c"):
                found = {
                    way: {target for target in (*nodes, *outside) if _arrives(one, way, source, target)}
                    for way in answers
                }
                assert found == dict.fromkeys(answers, wanted), (family, asked, source)
    # SCTP towards nodes is masqueraded by addresses alone: one pod at a time. The node's kernel refuses it.
    inside(cluster, "ovs-appctl", "dpctl/flush-conntrack")
    for number, outcomes in ((80, ("rejected", "connected")), (81, ("dropped", "dropped"))):
        to = ("x/b", "node/worker-1", f"{number}/sctp")
        sent = cluster.probe(*to, packet={"packet": "sctp"}, timeout=PATIENCE[outcomes[1]])
        assert (sent["outcome"], cluster.trace(*to)["outcome"]) == outcomes, sent


def _arrives(one: Mapping[str, Any], who: str, source: str, target: str) -> bool:
    """Nobody serves these ports on nodes: what a packet meets there tells that it has come."""
    refused = who == "wire" and (one["notes"].get(source) or {}).get(target) == NOBODY_LISTENS
    return refused or one[who][source][target] == "connected"


# -- the rest --------------------------------------------------------------------------------------


def test_a_pod_that_reaches_itself_through_a_service_is_a_peer_as_others(playground: Playground) -> None:
    """NetworkPolicies have no say there."""
    cluster = playground.cluster
    ports = [{"name": "web", "port": 80}, {"name": "dns", "port": 81, "protocol": "UDP"}]
    spec = {"selector": {"pod": "a"}, "ports": ports, "ipFamilyPolicy": "PreferDualStack"}
    itself: Object = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "itself", "namespace": "x"},
        "spec": spec,
    }
    playground.there["x", "itself"] = itself
    cluster.apply([itself])
    playground.apply("x", "nothing", "podSelector: {}, policyTypes: [Ingress, Egress]")

    def assert_found(source: str, outcome: str) -> None:
        for number, family in (("80/tcp", 4), ("81/udp", 6)):
            asked = (source, "svc/x/itself", number)
            sent = cluster.probe(*asked, family=family, timeout=PATIENCE[outcome])
            traced = cluster.trace(*asked, family=family)["outcome"]
            assert sent["outcome"] == sent["spec"]["outcome"] == traced == outcome, (sent, traced)

    assert_found("x/a", "connected")
    playground.put(
        rules("alone", "Admin", 15, f"action: Accept, {FROM_Y}", "action: Deny, from: [{namespaces: {}}]")
    )
    assert_found("x/a", "dropped")
    assert_found("y/a", "connected")


def test_changes_while_traffic_runs(playground: Playground) -> None:
    """Nothing is lost that is allowed throughout, and nothing passes that is denied when it is sent."""
    cluster = playground.cluster
    served = [{"name": "all", "image": "agnhost", "args": ["netexec", "--http-port=80", "--udp-port=81"]}]
    server = {**pod("t/a"), "spec": {"nodeName": "worker-2", "containers": served}}
    applied = cluster.apply([namespace("t"), server])
    assert applied.ready.ready, applied.ready.missing
    streams = [
        {"from": source, "to": "t/a", "port": number, "family": family, "rate": 10, "timeout": patience}
        for source, patience in (("x/a", 2.0), ("z/a", PATIENCE["connected"]))
        for number, family in (("80/tcp", 4), ("81/udp", 6), ("80/tcp", 6))
    ]
    load = cluster.start_load(streams)
    to_t = "to: [{namespaces: {matchLabels: {ns: t}}}]"
    accept, deny = f"action: Accept, {to_t}", f"action: Deny, {to_t}"
    everybody = {"subject": "namespaces: {}"}
    playground.put(rules("every", "Baseline", 6, egress=[f"action: Pass, {to_t}", deny], **everybody))
    playground.put(rules("some", "Admin", 5, egress=[accept, deny]))
    before = time.time()
    playground.put(rules("some", "Admin", 5, egress=[deny, accept]))
    since = time.time()
    assert cluster.probe("x/a", "t/a", "80/tcp", count=2, timeout=PATIENCE["dropped"])["outcome"] == "dropped"
    until = time.time()
    playground.put(rules("every", "Baseline", 7, egress=[accept], **everybody))
    playground.delete("", "some")
    after = time.time()
    assert cluster.probe("x/a", "t/a", "80/tcp", count=2)["outcome"] == "connected"
    report = cluster.stop_load(load, 60, records=True)
    told = [(streams[which]["from"], *request) for which, *request in report["requests"]]
    for source, began, ended, outcome, said, _ in told:
        if source == "z/a" or ended < before or began > after:
            assert outcome == "connected", (source, began, ended, outcome, said, before, after)
        elif since < began and ended < until:
            assert outcome != "connected", (began, ended, since, until)
    phases = {
        (source, "shut" if since < began < until else "open")
        for source, began, *_ in told
        if began < before or began > since
    }
    assert phases == {(source, phase) for source in ("x/a", "z/a") for phase in ("shut", "open")}


def _dropped(playground: Playground) -> int:
    """Packets that the drops of the Admin tier have counted, on all nodes."""
    for _ in range(2):  # Counters follow the datapath's at the end of a round.
        inside(playground.cluster, "ovs-appctl", "revalidator/wait")
    dumps = [
        inside(playground.cluster, "ovs-ofctl", "-OOpenFlow13", "dump-flows", bridge, "table=48")
        for bridge in ("n1", "n2", "n3")
    ]
    return sum(
        int(n) for dump in dumps for n in re.findall(r"n_packets=(\d+).*conj_id=\d+ actions=drop", dump)
    )


def test_each_drop_counts_for_its_rule(playground: Playground) -> None:
    playground.put(rules("fence", "Admin", 10, f"action: Pass, {FROM_YA}", f"action: Deny, {FROM_Y}"))
    before = _dropped(playground)
    assert playground.reached("udp") == expected(["x/* <- x/* z/* y/a"])
    assert _dropped(playground) - before == 2 * 3 * 2 * 2, (
        "two pods of y, three of x, two ports, two families"
    )

"""The cases in which several things are wrong, each for itself: all are named, as a packet meets them.

They share a cluster with the others: see `workloads`.
"""

from __future__ import annotations

from tests.system.diagnose.case import Case
from tests.system.diagnose.objects import DEAD, pod, policy, ports_to, service
from tests.system.diagnose.workloads import ALL_SYSTEMS, CLIENT, POD_PORTS, SERVICE

QUICK = {"options": [{"name": "timeout", "value": "1"}, {"name": "attempts", "value": "1"}]}

CASES = (
    Case(
        "both-ways",
        "policies isolate the client for egress and the server for ingress",
        "policy-isolates-source",
        "NetworkPolicy/{ns}/nothing-out",
        "{ns}/asker",
        "{ns}/server",
        POD_PORTS,
        (
            pod("both-ways"),
            pod("both-ways", "asker"),
            policy("both-ways", "nothing-out", "asker", policyTypes=["Egress"]),
            policy("both-ways", "nothing-in", "server", ingress=[]),
        ),
        more=(("policy-isolates-destination", "NetworkPolicy/{ns}/nothing-in"),),
    ),
    Case(
        "shut-and-wrong",
        "a policy isolates the server, and the Service's targetPort is 9999",
        "policy-isolates-destination",
        "NetworkPolicy/{ns}/system-only",
        CLIENT,
        SERVICE,
        objects=(
            pod("shut-and-wrong"),
            service("shut-and-wrong", ports=ports_to(DEAD, DEAD)),
            policy("shut-and-wrong", "system-only", "server", ingress=[{"from": [ALL_SYSTEMS]}]),
        ),
        more=(("wrong-target-port", "Service/{ns}/server"),),
    ),
    Case(
        "name-and-selector",
        "the name has a letter too many, and the Service that it should be selects nothing",
        "wrong-dns-name",
        "Service/{ns}/server",
        CLIENT,
        "//serverr.{ns}",
        objects=(pod("name-and-selector"), service("name-and-selector", selector={"app": "sever"})),
        more=(("selector-matches-nothing", "Service/{ns}/server"),),
    ),
    Case(
        "everything",
        "the selector has a slip, a policy isolates the pods that are meant, and targetPort is 9999",
        "selector-matches-nothing",
        "Service/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(
            pod("everything"),
            service("everything", selector={"app": "sever"}, ports=ports_to(DEAD, DEAD)),
            policy("everything", "nothing-in", "server", ingress=[]),
        ),
        more=(
            ("policy-isolates-destination", "NetworkPolicy/{ns}/nothing-in"),
            ("wrong-target-port", "Service/{ns}/server"),
        ),
    ),
    Case(
        "no-names-no-way",
        "a policy lets the client reach neither the name server nor the server",
        "dns-blocked-by-policy",
        "NetworkPolicy/{ns}/nothing-out",
        "{ns}/asker",
        "//server.lab",
        objects=(
            pod("no-names-no-way", "asker", dnsConfig=QUICK),
            policy("no-names-no-way", "nothing-out", "asker", policyTypes=["Egress"]),
        ),
        more=(("policy-isolates-source", "NetworkPolicy/{ns}/nothing-out"),),
    ),
    Case(
        "local-and-shut",
        "internalTrafficPolicy is Local without a local endpoint, and a policy isolates the one elsewhere",
        "internal-traffic-policy-local",
        "Service/{ns}/server",
        CLIENT,
        SERVICE,
        objects=(
            pod("local-and-shut", nodeName="worker-2"),
            service("local-and-shut", internalTrafficPolicy="Local"),
            policy("local-and-shut", "nothing-in", "server", ingress=[]),
        ),
        more=(("policy-isolates-destination", "NetworkPolicy/{ns}/nothing-in"),),
    ),
)

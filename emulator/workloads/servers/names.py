"""The DNS servers, whose library is read when the first of them starts: it takes a while."""

from __future__ import annotations

from emulator.cluster.dns.internet import InternetNames
from emulator.workloads.servers.program import Context, Program


def coredns(context: Context) -> Program:
    """CoreDNS: kubernetes, forward, cache, hosts, rewrite, loadbalance, log, ready, health, prometheus."""
    from emulator.workloads.servers.dns.coredns import coredns as program

    return program(context)


def internet_resolver(names: InternetNames) -> Program:
    """The resolver of the emulated internet."""
    from emulator.workloads.servers.dns.internet import internet_resolver as program

    return program(names)

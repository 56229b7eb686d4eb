"""The resolver of the emulated internet."""

from __future__ import annotations

from functools import partial

from emulator.cluster.dns import wire
from emulator.cluster.dns.internet import InternetNames, internet_answer
from emulator.workloads.servers.dns.listening import listeners
from emulator.workloads.servers.program import Peer, Program


def internet_resolver(names: InternetNames) -> Program:
    """Answers for the hosts outside the cluster, over UDP and TCP."""
    return Program(listeners(53, partial(_answer, names)))


def _answer(names: InternetNames, query: wire.Query, _peer: Peer, transport: str) -> bytes:
    assert query.question is not None
    limit = wire.LARGEST if transport == "tcp" else query.limit
    return wire.reply(query, internet_answer(names, query.question), limit, is_recursive=True)

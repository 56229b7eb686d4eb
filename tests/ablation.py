"""Leaving out what one feature file gives to the programs, to see what it is for.

Where a stage would be left empty, all packets would end there, which shows little. So the features that
every packet passes have a stand-in: what the pipeline would be if nobody had thought of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from unittest.mock import patch

from controllers.pipeline import compile as compiler
from controllers.pipeline import features
from controllers.pipeline.actions import Action, Goto, OutputTo, load
from controllers.pipeline.features import routing
from controllers.pipeline.features.classifier import NEIGHBOR_SOLICITATION
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import arp, icmp, match
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import OUT_PORT, SOURCE, Source
from controllers.pipeline.tables import (
    ADMIN_INGRESS,
    ARP_RESPONDER,
    CLASSIFIER,
    CONNTRACK_COMMIT,
    CONNTRACK_STATE,
    CONNTRACK_ZONE,
    L3_DEC_TTL,
    NODE_PORT_MARK,
    OUTPUT,
    SNAT,
    SPOOF_GUARD,
    TTL_GUARD,
    UN_SNAT,
    Stage,
)

TUPLES = ("NODE_FEATURES", "POD_FEATURES", "SERVICE_FEATURES", "BALANCER_FEATURES")
GIVING = {
    "flows", "node_flows", "router_flows", "pod_flows", "service_flows", "policy_flows",
    "asked", "remembered", "learning", "to_endpoint",
}  # fmt: skip
"""The functions by which feature files give flows, or actions to the flows of others."""

Gives = Callable[..., Iterator[object]]


@dataclass(frozen=True)
class Ablation:
    """What is left out of the programs."""

    feature: str
    only: tuple[str, ...] = ()
    """Of the file's functions, those that are taken away; none named: all that give something."""
    instead: Mapping[str, Gives] = field(default_factory=dict)
    """What stands in for a function."""


def files() -> set[str]:
    """The names of all feature files."""
    (directory,) = features.__path__
    return {path.stem for path in Path(directory).glob("*.py")} - {"__init__"}


@contextmanager
def without(ablation: Ablation) -> Iterator[None]:
    """Compile without it. What an earlier `Compiler` has compiled already, it keeps."""
    module = import_module(f"{features.__name__}.{ablation.feature}")
    gone = set(ablation.only) or _own(module) & GIVING
    assert gone >= ablation.instead.keys(), ablation
    new = {getattr(module, name): ablation.instead.get(name) for name in gone}

    def kept(some: tuple[Gives, ...]) -> tuple[Gives, ...]:
        return tuple(found for one in some if (found := new.get(one, one)) is not None)

    with ExitStack() as stack:
        for name in TUPLES:
            stack.enter_context(patch.object(compiler, name, kept(getattr(compiler, name))))
        roles = {role: kept(some) for role, some in compiler.ROUTER_FEATURES.items()}
        stack.enter_context(patch.object(compiler, "ROUTER_FEATURES", MappingProxyType(roles)))
        for name in gone:
            stack.enter_context(patch.object(module, name, ablation.instead.get(name, nothing)))
        yield


def _own(module: ModuleType) -> set[str]:
    return {
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", "") == module.__name__
    }


def nothing(*_arguments: object) -> Iterator[object]:
    """No flows; no actions."""
    return iter(())


def onward(*ways: tuple[Stage, Stage]) -> Gives:
    """Stages that let everything pass to the next one."""

    def flows(*_arguments: object) -> Iterator[Flow]:
        for stage, following in ways:
            yield _passed_on(stage, Goto(following))

    return flows


def _questions_are_answered(*_arguments: object) -> Iterator[Flow]:
    """A SpoofGuard without suspicion."""
    for question in (match(arp(1)), match(icmp(6, NEIGHBOR_SOLICITATION))):
        yield Flow(SPOOF_GUARD, 210, question, (Goto(ARP_RESPONDER),), PIPELINE, "asks")
    yield _passed_on(SPOOF_GUARD, Goto(TTL_GUARD))


def _sent(*_arguments: object) -> Iterator[Flow]:
    """An Output that knows nothing of hairpins."""
    yield _passed_on(OUTPUT, OutputTo(OUT_PORT))


def _passed_on(stage: Stage, *actions: Action) -> Flow:
    return Flow(stage, 0, match(), actions, PIPELINE, "passed-on")


def _everything_from_outside(*_arguments: object) -> Iterator[Flow]:
    """A Classifier that tells nobody apart."""
    yield _passed_on(CLASSIFIER, load(SOURCE, Source.UPLINK), Goto(TTL_GUARD))


UNCLASSIFIED = Ablation("classifier", instead={"flows": _everything_from_outside})
"""Nobody knows where a packet came from."""
UNGUARDED = Ablation("spoof_guard", instead={"flows": _questions_are_answered})
UNCOUNTED = Ablation("ttl", instead={"node_flows": onward((TTL_GUARD, UN_SNAT), (L3_DEC_TTL, ADMIN_INGRESS))})
UNTRACKED = Ablation(
    "conntrack",
    instead={
        "flows": onward(
            (UN_SNAT, CONNTRACK_ZONE),
            (CONNTRACK_ZONE, CONNTRACK_STATE),
            (CONNTRACK_STATE, NODE_PORT_MARK),
            (CONNTRACK_COMMIT, SNAT),
        )
    },
)
"""Every packet is a first one."""
UNASSOCIATED = Ablation("associations", ("policy_flows",))
"""SCTP as Open vSwitch tracks it: by addresses alone."""
UNMASQUERADED = Ablation("masquerade", instead={"flows": onward((SNAT, OUTPUT))})
NO_HAIRPIN = Ablation("output", instead={"node_flows": _sent})
PODS_UNROUTED = Ablation("forwarding", ("pod_flows",))
PEERS_UNROUTED = Ablation("forwarding", ("_peer",))
WORLD_UNROUTED = Ablation("forwarding", ("_world",))
NOWHERE_OPEN = Ablation("forwarding", ("_nowhere",))
"""What nobody has leaves by the default route."""
UNSWITCHED = Ablation("router", ("_switching",))
"""Routers that do not pass on what the hosts of a subnet send each other."""
UNANSWERED = Ablation("router", ("_own_address",))
"""Routers that do not answer for themselves."""
PREFIXES_UNROUTED = Ablation("routing", ("_prefixes",))
"""Routers that know their neighbours alone."""
ONE_NEXT_HOP = Ablation("routing", ("_next_hops",))
UNTRANSLATED = Ablation("nat_gateway", instead={"flows": routing.flows})
"""In the gateway's place a router like others."""

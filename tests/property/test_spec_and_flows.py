"""What Kubernetes says and what the compiled flows do are the same, in any cluster.

Two readings of one state that share no code: the oracle's, and the compiler's. The flows are run twice: by a
software switch, which takes every choice that a hash could make, and by Open vSwitch, which one process does
for all clusters, and which traces there and back the choice that it makes.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

from controllers.pipeline.compile import Compiler
from emulator.cluster.model import ClusterState
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import Place
from emulator.cluster.wiring import IPAddress, Mode
from emulator.oracle.answer import Answer
from emulator.oracle.ask import Oracle
from emulator.oracle.packet import Question
from emulator.verdict.trace.atlas import Atlas
from emulator.verdict.trace.legend import Legend
from emulator.verdict.trace.model import Trace
from emulator.verdict.trace.walk import Question as Traced
from emulator.verdict.trace.walk import trace
from tests.conftest import SEED
from tests.property.clusters import clusters, questions
from tests.property.real_switch import Switch, switch
from tests.property.software_switch import Fate, Network

EXAMPLES = int(os.environ.get("MININETES_EXAMPLES", "200"))
ASKED = 6
"""Questions about each cluster."""
TRACED = 3
"""Of them, put to Open vSwitch too."""
COMPILERS: dict[str, Compiler] = {}


@pytest.mark.timeout(300 + EXAMPLES)
def test_flows_do_what_the_objects_say(tmp_path: Path) -> None:
    traced: Counter[Outcome] = Counter()
    with switch(tmp_path) as running:
        ask_about_clusters(running, traced)
    print(f"{EXAMPLES} clusters, seed {SEED}: {traced.total()} traces, {dict(traced)}")
    # Alike as they are if all of them say the same, too: they have to be about something.
    assert {Outcome.CONNECTED, Outcome.DROPPED, Outcome.REJECTED} <= traced.keys()


def ask_about_clusters(running: Switch, traced: Counter[Outcome]) -> None:
    """Put questions about random clusters to everybody; `traced` counts what Open vSwitch has said."""

    @seed(SEED)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.data())
    def ask(data: st.DataObject) -> None:
        about_one_cluster(data, running, traced)

    ask()


def about_one_cluster(data: st.DataObject, running: Switch, traced: Counter[Outcome]) -> None:
    state = data.draw(clusters(), label="cluster").state
    compiler = COMPILERS.setdefault(state.wiring.name, Compiler())
    programs = compiler.compile(state)
    network, oracle, atlas = Network(state, programs), Oracle(state), Atlas(state)
    running.install(state.wiring, programs)
    legends = {name: Legend(program) for name, program in programs.items()}
    for number in range(ASKED):
        source, question = data.draw(questions(state), label="question")
        answer = oracle.ask(question)
        address = own_address(state, source, question)
        fates = network.send(source, address, question.destination, question.protocol, question.port)
        note(f"spec: {answer}")
        note(f"flows: {sorted(map(str, fates))}")
        assert_same(answer, fates)
        if number < TRACED:
            found = trace(
                _traced(source, question, address, number), atlas, legends, running.asker(state.wiring)
            )
            note(f"trace: {found}")
            assert_one_of(answer, found)
            traced[found.outcome] += 1
        if address != question.destination:  # what a stack says to itself meets no flow
            assert {fate.source for fate in fates if fate.source} >= answer.sources


def own_address(state: ClusterState, source: str, question: Question) -> IPAddress:
    """The address that the source's stack chooses, which is no flow's matter."""
    target, wiring = question.destination, state.wiring
    assert not isinstance(target, Place)
    kind, _, name = source.partition("/")
    if kind == "ext":
        own = [a.ip for host in wiring.external if host.name == name for a in host.addresses]
    elif kind == "node":
        node = wiring.node(name)
        own = [*(a.ip for a in node.addresses), *node.pod_gateways]
        if target in own:
            return target
        if any(target.version == c.version and target in c for c in wiring.pod_cidrs):
            own = list(node.pod_gateways) if wiring.mode is Mode.OVERLAY else own
    else:
        own = [
            a for pod in state.pods if f"{pod.ref.namespace}/{pod.ref.name}" == source for a in pod.addresses
        ]
    return next(address for address in own if address.version == target.version)


def _traced(source: str, question: Question, own: IPAddress, number: int) -> Traced:
    target = question.destination
    assert not isinstance(target, Place)
    protocol = question.protocol.value.lower() if question.protocol else "icmp"
    port = 40_000 + number  # so that hashes differ
    return Traced(source, str(target), protocol, target, question.port or 0, own, port)


def assert_one_of(answer: Answer, found: Trace) -> None:
    """One of the outcomes, arrivals and sources that the objects allow."""
    assert found.outcome in answer.outcomes
    if found.outcome is Outcome.CONNECTED:
        arrivals = {(arrival.place, arrival.port or 0) for arrival in answer.endpoints}
        assert (found.endpoint, found.endpoint_port) in arrivals
        assert not answer.sources or found.source_seen in set(map(str, answer.sources))


def assert_same(answer: Answer, fates: frozenset[Fate]) -> None:
    """The same outcomes, arrivals and sources seen."""
    assert {fate.outcome for fate in fates} == answer.outcomes
    met = {fate for fate in fates if fate.outcome is Outcome.CONNECTED}
    assert {(fate.place, fate.destination, fate.port) for fate in met} == {
        (arrival.place, arrival.address, arrival.port) for arrival in answer.endpoints
    }

"""What Kubernetes says and what the compiled flows do are the same, in any cluster.

Two readings of one state that share no code: the oracle's, and the compiler's, run by a software switch.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from controllers.pipeline.compile import Compiler
from emulator.cluster.model import ClusterState
from emulator.cluster.outcome import Outcome
from emulator.cluster.places import Place
from emulator.cluster.wiring import IPAddress, Mode
from emulator.oracle.answer import Answer
from emulator.oracle.ask import Oracle
from emulator.oracle.packet import Question
from tests.property.clusters import clusters, questions
from tests.property.software_switch import Fate, Network

EXAMPLES = 200
ASKED = 6
"""Questions about each cluster."""
COMPILERS: dict[str, Compiler] = {}


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.data())
def test_flows_do_what_the_objects_say(data: st.DataObject) -> None:
    state = data.draw(clusters(), label="cluster").state
    compiler = COMPILERS.setdefault(state.wiring.name, Compiler())
    network, oracle = Network(state, compiler.compile(state)), Oracle(state)
    for _ in range(ASKED):
        source, question = data.draw(questions(state), label="question")
        answer = oracle.ask(question)
        address = _own_address(state, source, question)
        fates = network.send(source, address, question.destination, question.protocol, question.port)
        note(f"spec: {answer}")
        note(f"flows: {sorted(map(str, fates))}")
        assert_same(answer, fates)
        if address != question.destination:  # what a stack says to itself meets no flow
            assert {fate.source for fate in fates if fate.source} >= answer.sources


def _own_address(state: ClusterState, source: str, question: Question) -> IPAddress:
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


def assert_same(answer: Answer, fates: frozenset[Fate]) -> None:
    """The same outcomes, arrivals and sources seen."""
    assert {fate.outcome for fate in fates} == answer.outcomes
    met = {fate for fate in fates if fate.outcome is Outcome.CONNECTED}
    assert {(fate.place, fate.destination, fate.port) for fate in met} == {
        (arrival.place, arrival.address, arrival.port) for arrival in answer.endpoints
    }

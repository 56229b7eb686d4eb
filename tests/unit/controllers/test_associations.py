"""SCTP under policies: what the switch is told to learn, and what of it is known."""

from __future__ import annotations

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Learn, Mirror, Resubmit, load
from controllers.pipeline.fields import Term
from controllers.pipeline.match import dst, match, src, transport
from controllers.pipeline.registers import KNOWN
from controllers.pipeline.tables import CONNTRACK_ZONE, SCTP_ANSWER, SCTP_QUESTION

from .policy_lab import SCTP, TCP, XA, XB, YA, cluster, decide, policy, program

STATE = cluster(policy(ingress=()))


def learned(family: int) -> Learn:
    """What a question from `x/a` to `x/b` has learned."""
    flows = list(program(STATE, "worker-1"))
    found = decide(flows, SCTP_QUESTION, match(transport(family, SCTP), KNOWN(0)))
    learn, _ = found.actions
    assert isinstance(learn, Learn)
    return learn


def test_only_the_answer_is_known() -> None:
    for family in (4, 6):
        one, other = (next(a for a in end.addresses if a.version == family) for end in (XA, XB))
        question = match(transport(family, SCTP), src(one), dst(other), f.SCTP_SRC(40_000), f.SCTP_DST(80))
        asked = {term.field: term.value for term in question}
        learn = learned(family)
        assert (learn.stage, learn.loads) == (SCTP_ANSWER, (load(KNOWN, 1),))
        wanted = match(
            *(
                condition.field(asked[condition.source]) if isinstance(condition, Mirror) else condition
                for condition in learn.matches
                if isinstance(condition, Mirror | Term)
            )
        )
        answer = match(transport(family, SCTP), src(other), dst(one), f.SCTP_SRC(80), f.SCTP_DST(40_000))
        assert wanted == answer


def test_answers_are_looked_for_before_they_are_translated_back() -> None:
    flows = list(program(STATE, "worker-1"))
    for family in (4, 6):
        looked_up = decide(flows, CONNTRACK_ZONE, match(transport(family, SCTP)))
        assert looked_up.actions[0] == Resubmit(SCTP_ANSWER)
        assert (
            Resubmit(SCTP_ANSWER) not in decide(flows, CONNTRACK_ZONE, match(transport(family, TCP))).actions
        )


def test_an_answer_is_no_question_and_nothing_else_is_learned() -> None:
    flows = list(program(STATE, "worker-1"))
    for packet in (match(transport(4, SCTP), KNOWN(1)), match(transport(4, TCP), KNOWN(0))):
        assert decide(flows, SCTP_QUESTION, packet).name == "nothing-to-learn"


def test_where_no_policy_is_enforced_nothing_is_learned() -> None:
    names = {flow.name for flow in program(cluster(pods=(XA, YA)), "worker-1")}
    assert not names & {"learn-the-answer", "look-up-sctp"}

"""What policies have to know of SCTP: which packets are answers.

Userspace Open vSwitch tracks SCTP by its addresses alone. Told by it, every packet between two pods that have
spoken once would be known, whatever its ports. So where policies are enforced, a packet of SCTP is known only
as the answer to one that they have let pass, with the same addresses and ports the other way round: that is
learned from each packet that passes, before its source is masqueraded and after its destination has been
translated, and asked before the connection is looked up and translated back. What is no answer is judged,
packet by packet.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Ct, Goto, Learn, Mirror, Nat, Resubmit, load
from controllers.pipeline.features.conntrack import main_zone
from controllers.pipeline.fields import Bits, Term
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import destination_field, match, source_field, transport
from controllers.pipeline.owner import PIPELINE, cookie_of
from controllers.pipeline.registers import KNOWN
from controllers.pipeline.tables import (
    CONNTRACK_COMMIT,
    CONNTRACK_STATE,
    CONNTRACK_ZONE,
    SCTP_ANSWER,
    SCTP_QUESTION,
)
from controllers.pipeline.view import NodeView
from emulator.cluster.model import Protocol, Ref

SECONDS = 210
"""How long answers may keep silent: nf_conntrack_sctp_timeout_established of Linux."""


def flows(_view: NodeView) -> Iterator[Flow]:
    """Nothing is learned where no policy is enforced."""
    yield Flow(SCTP_QUESTION, 0, match(), (Goto(CONNTRACK_COMMIT),), PIPELINE, "nothing-to-learn")


def policy_flows(view: NodeView) -> Iterator[Flow]:
    """Learning and asking."""
    yield Flow(SCTP_ANSWER, 0, match(), (), PIPELINE, "no-answer")
    cookie = cookie_of(Ref("Association", "", "sctp"), view.bridge.datapath_id)
    for family in view.families:
        sctp = transport(family, Protocol.SCTP)
        looked_up = Ct(main_zone(view), CONNTRACK_STATE, nat=Nat())
        ask = (Resubmit(SCTP_ANSWER), looked_up)
        yield Flow(CONNTRACK_ZONE, 210, match(sctp), ask, PIPELINE, "look-up-sctp")
        source, destination = source_field(family), destination_field(family)
        answer: tuple[Term | Bits | Mirror, ...] = (
            *sctp,
            Mirror(source, destination),
            Mirror(destination, source),
            Mirror(f.SCTP_SRC, f.SCTP_DST),
            Mirror(f.SCTP_DST, f.SCTP_SRC),
        )
        learn = Learn(SCTP_ANSWER, 100, SECONDS, cookie, answer, (load(KNOWN, 1),))
        question = match(sctp, KNOWN(0))
        actions = (learn, Goto(CONNTRACK_COMMIT))
        yield Flow(SCTP_QUESTION, 100, question, actions, PIPELINE, "learn-the-answer")

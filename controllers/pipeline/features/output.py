"""The last stage of a node's bridge: out of the port that was chosen."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import OutputTo, load
from controllers.pipeline.fields import ct_state
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import match
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import OUT_PORT
from controllers.pipeline.tables import OUTPUT
from controllers.pipeline.view import NodeView


def node_flows(_view: NodeView) -> Iterator[Flow]:
    """The Output of a node's bridge."""
    # A packet that the last translation refused would leave with an address that its peer does not know.
    yield Flow(OUTPUT, 200, match(ct_state("+trk+inv")), (), PIPELINE, "untranslated")
    # Without an input port to compare with, a packet may return where it came from (hairpin).
    send = (load(f.IN_PORT_NXM.part(0, 15), 0), OutputTo(OUT_PORT))
    yield Flow(OUTPUT, 100, match(), send, PIPELINE, "send")

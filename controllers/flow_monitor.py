"""Word of every change of a switch's flows that somebody else makes.

Open vSwitch's flow monitor (ovs-ofctl(8), `monitor ... watch:`), in OpenFlow 1.3 by the ONF's extension 187.
Unlike that text, and Ryu, Open vSwitch takes and gives matches there as `ofp_match` with its header. Changes
that come over the same connection are told in short, without what changed: those are the controller's own.
Flows that other flows learn, and that time out, are told as anybody's.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from ryu.ofproto import ofproto_common

from controllers.openflow import Datapath, Message, ofp, parser

EXPERIMENTER, FLOW_MONITOR = ofproto_common.ONF_EXPERIMENTER_ID, ofp.ONFMP_FLOW_MONITOR
_CHANGES = ofp.ONFFMF_ADD | ofp.ONFFMF_DELETE | ofp.ONFFMF_MODIFY
_EVERYTHING = struct.pack("!HH4x", ofp.OFPMT_OXM, 4)
_REQUEST = "!IHHIB3x"
"""Id, flags, length of the match, output port, table."""
_HEAD, _FULL = "!HH", "!HHHHHBxQ"
"""Length and event; reason, priority, idle and hard timeout, length of the match, table, cookie."""

METER_DELETED = 4
"""The reason OFPRR_METER_DELETE of OpenFlow 1.4: a meter went, and took its flows along."""


class What(IntEnum):
    """What somebody did."""

    ADDED = ofp.ONFFME_ADDED
    """Also in the place of a flow with the same match."""
    DELETED = ofp.ONFFME_DELETED
    MODIFIED = ofp.ONFFME_MODIFIED
    """Other actions; the cookie is still the one that it was added with."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of one flow, by somebody else."""

    what: What
    table: int
    priority: int
    cookie: int
    match: bytes
    """As `ofp_match`, encoded."""
    reason: int = ofp.OFPRR_DELETE
    """Why, if it was deleted: OFPRR_*."""


def watch(datapath: Datapath) -> Message:
    """Ask for word of all changes from now on, until the connection ends."""
    body = struct.pack(_REQUEST, 0, _CHANGES, len(_EVERYTHING), ofp.OFPP_ANY, ofp.OFPTT_ALL) + _EVERYTHING
    return parser.OFPExperimenterStatsRequest(datapath, 0, EXPERIMENTER, FLOW_MONITOR, body)


def changes(body: Any) -> Iterator[Change]:
    """What the body of an experimenter's reply tells of; nothing if that is about something else."""
    if (body.experimenter, body.exp_type) != (EXPERIMENTER, FLOW_MONITOR):
        return
    data, offset = bytes(body.data), 0
    while offset < len(data):
        length, event = struct.unpack_from(_HEAD, data, offset)
        if event != ofp.ONFFME_ABBREV:
            start = offset + struct.calcsize(_HEAD)
            reason, priority, _, _, _, table, cookie = struct.unpack_from(_FULL, data, start)
            match = data[start + struct.calcsize(_FULL) : offset + length]
            yield Change(What(event), table, priority, cookie, match, reason)
        offset += length

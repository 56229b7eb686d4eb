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

_OXM, _ONF_ID, _REG = 4, 4, 4
"""Bytes of a condition's header, of the ONF's number in it, and of a register."""
_NXM_1, _EXPERIMENTER_CLASS = 0x0001, 0xFFFF
_XXREGS = range(111, 115)
_NXM_TCP_FLAGS, _ONF_TCP_FLAGS = 34, 42
"""Fields that OpenFlow 1.3 and Ryu, or a flow and what is told of it, spell in two ways (meta-flow.h)."""

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


def conditions(match: bytes) -> frozenset[bytes]:
    """An encoded match as it can be compared: neither order nor spelling of its conditions means anything."""
    _, length = struct.unpack_from(_HEAD, match)
    found: set[bytes] = set()
    offset = struct.calcsize(_HEAD)
    while offset < length:
        end = offset + _OXM + match[offset + _OXM - 1]
        found.update(_spelled(match[offset:end]))
        offset = end
    return frozenset(found)


def _spelled(condition: bytes) -> Iterator[bytes]:
    """A condition as Open vSwitch spells it; of what it tells, also as Ryu does."""
    (oxm_class, field_and_mask), payload = struct.unpack_from("!HB", condition), condition[_OXM:]
    field, has_mask = field_and_mask >> 1, bool(field_and_mask & 1)
    if oxm_class == _EXPERIMENTER_CLASS and field == _ONF_TCP_FLAGS:
        rest = payload[_ONF_ID:]
        yield struct.pack("!HBB", _NXM_1, _NXM_TCP_FLAGS << 1 | has_mask, len(rest)) + rest
    elif oxm_class == _NXM_1 and field in _XXREGS:
        width = len(payload) // (2 if has_mask else 1)
        value, mask = payload[:width], payload[width:] or b"\xff" * width
        first = (field - _XXREGS[0]) * width // _REG
        for number in range(width // _REG):
            part = slice(number * _REG, (number + 1) * _REG)
            yield from _register(first + number, value[part], mask[part])
    else:
        yield condition


def _register(number: int, value: bytes, mask: bytes) -> Iterator[bytes]:
    """What of a register of 128 bits lies in one of 32."""
    if mask == b"\xff" * _REG:
        yield struct.pack("!HBB", _NXM_1, number << 1, _REG) + value
    elif any(mask):
        yield struct.pack("!HBB", _NXM_1, number << 1 | 1, 2 * _REG) + value + mask

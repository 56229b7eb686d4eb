"""Flows as Ryu messages: the one module that knows how Ryu spells what `pipeline` means.

Ryu 4.34 speaks OpenFlow 1.3 with Nicira's extensions. Two of its gaps are filled here: its NAT
and learn actions lack the padding that Open vSwitch insists on, and it does not know the two fields
that a neighbour advertisement needs.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from ryu.lib.pack_utils import msg_pack_into
from ryu.ofproto import nicira_ext, ofproto_v1_3, ofproto_v1_3_parser

from controllers.pipeline import fields as f
from controllers.pipeline.actions import (
    Action,
    Conjunction,
    Controller,
    Ct,
    DecTtl,
    Goto,
    HashBy,
    InPort,
    Learn,
    Load,
    Meter,
    Mirror,
    Move,
    Multipath,
    Nat,
    Output,
    OutputTo,
    Resubmit,
    Set,
)
from controllers.pipeline.fields import Bits, Field, Term
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import Match

ofp: Any = ofproto_v1_3
parser: Any = ofproto_v1_3_parser
Message = Any
Datapath = Any

ATOMIC_ORDERED = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED
HASH_FIELDS = {HashBy.CONNECTION: 3, HashBy.CLIENT: 4}
"""NX_HASH_FIELDS_SYMMETRIC_L3L4_UDP and NX_HASH_FIELDS_NW_SRC of nicira-ext.h; Ryu has no names for them."""
WHOLE_PACKET = 0xFFFF

_CT_COMMIT = 1
_DELETE_LEARNED = 2
"""NX_LEARN_F_DELETE_LEARNED of nicira-ext.h."""
_NAT_SRC, _NAT_DST = 1, 2
_ERICSSON_FIELDS = {f.ND_RESERVED: (1, 4), f.ND_OPTIONS_TYPE: (2, 1)}
"""Field number and size in bytes in OXM class 0x1000 (ERICOXM_OF in Open vSwitch's meta-flow.h)."""
_SHOWN = frozenset(
    {f.ETH_SRC, f.ETH_DST, f.ARP_SHA, f.ARP_THA, f.ND_TLL}
    | {f.IPV4_SRC, f.IPV4_DST, f.IPV6_SRC, f.IPV6_DST, f.ARP_SPA, f.ARP_TPA, f.ND_TARGET}
)
"""Fields whose values Ryu wants as text."""


class _PaddedNat(parser.NXActionNAT):  # type: ignore[misc]
    """Ryu's NAT action with the zeros that bring it to a multiple of eight bytes."""

    def serialize_body(self) -> bytearray:
        return _padded(super().serialize_body())


class _PaddedLearn(parser.NXActionLearn):  # type: ignore[misc]
    """Ryu's learn action with the same zeros."""

    def serialize_body(self) -> bytearray:
        return _padded(super().serialize_body())


def _padded(body: bytearray) -> bytearray:
    return body + bytes(-(ofp.OFP_ACTION_EXPERIMENTER_HEADER_SIZE + 2 + len(body)) % 8)


class _SetEricssonField(parser.OFPAction):  # type: ignore[misc]
    """`set_field` for a field that Ryu does not know."""

    cls_action_type = ofp.OFPAT_SET_FIELD
    cls_action_len = ofp.OFP_ACTION_SET_FIELD_SIZE

    def __init__(self, number: int, size: int, value: int) -> None:
        super().__init__()
        field = struct.pack("!I", 0x1000 << 16 | number << 9 | size) + value.to_bytes(size, "big")
        self.len = (4 + len(field) + 7) // 8 * 8
        self._data = struct.pack("!HH", ofp.OFPAT_SET_FIELD, self.len) + field

    def serialize(self, buf: bytearray, offset: int) -> None:
        msg_pack_into(f"{self.len}s", buf, offset, self._data)


# -- messages --------------------------------------------------------------------------------------


def add(datapath: Datapath, flow: Flow, cookie: int) -> Message:
    """Install a flow, in the place of one with the same match."""
    return _flow_mod(datapath, flow, ofp.OFPFC_ADD, cookie=cookie, encoded=instructions(flow.actions))


def modify(datapath: Datapath, flow: Flow) -> Message:
    """Give a flow other actions; it keeps its cookie and its counters."""
    return _flow_mod(datapath, flow, ofp.OFPFC_MODIFY_STRICT, encoded=instructions(flow.actions))


def remove(datapath: Datapath, flow: Flow) -> Message:
    """Delete exactly this flow."""
    return _flow_mod(datapath, flow, ofp.OFPFC_DELETE_STRICT)


def remove_encoded(datapath: Datapath, table: int, priority: int, encoded: bytes) -> Message:
    """Delete exactly the flow of this match, which a switch has encoded."""
    return _FlowMod(datapath, _head(table, ofp.OFPFC_DELETE_STRICT, priority) + encoded)


def clear(datapath: Datapath) -> Message:
    """Delete every flow of every table."""
    return parser.OFPFlowMod(
        datapath,
        table_id=ofp.OFPTT_ALL,
        command=ofp.OFPFC_DELETE,
        out_port=ofp.OFPP_ANY,
        out_group=ofp.OFPG_ANY,
        match=parser.OFPMatch(),
        instructions=[],
    )


def count(datapath: Datapath, cookie: int, mask: int) -> Message:
    """Ask how many flows have this cookie, as far as `mask` goes."""
    return parser.OFPAggregateStatsRequest(
        datapath, 0, ofp.OFPTT_ALL, ofp.OFPP_ANY, ofp.OFPG_ANY, cookie, mask, parser.OFPMatch()
    )


def give_meters(datapath: Datapath, meters: Mapping[int, int]) -> Iterator[Message]:
    """Meters that drop what exceeds their rates, in packets a second.

    The first message for each fails where it is there already, perhaps with another rate.
    """
    for meter, rate in meters.items():
        band = parser.OFPMeterBandDrop(rate=rate, burst_size=rate)
        for command in (ofp.OFPMC_ADD, ofp.OFPMC_MODIFY):
            yield parser.OFPMeterMod(datapath, command, ofp.OFPMF_PKTPS | ofp.OFPMF_BURST, meter, [band])


def bundle(datapath: Datapath, number: int, messages: Sequence[Message]) -> Iterator[Message]:
    """The messages as one atomic, ordered bundle: all of them take effect at once, or none does."""
    control = parser.ONFBundleCtrlMsg
    yield control(datapath, number, ofp.ONF_BCT_OPEN_REQUEST, ATOMIC_ORDERED, [])
    for message in messages:
        yield parser.ONFBundleAddMsg(datapath, number, ATOMIC_ORDERED, message, [])
    yield control(datapath, number, ofp.ONF_BCT_COMMIT_REQUEST, ATOMIC_ORDERED, [])


def barrier(datapath: Datapath) -> Message:
    """Ask for word once everything before this is done."""
    return parser.OFPBarrierRequest(datapath)


def send(datapath: Datapath, frame: bytes, ofport: int) -> Message:
    """Put a frame out of a port."""
    return parser.OFPPacketOut(
        datapath,
        buffer_id=ofp.OFP_NO_BUFFER,
        in_port=ofp.OFPP_CONTROLLER,
        actions=[parser.OFPActionOutput(ofport)],
        data=frame,
    )


# -- flows -----------------------------------------------------------------------------------------
#
# Ryu takes a tenth of a millisecond for a flow, most of it for turning numbers into text and back. A program
# consists of few different conditions and actions: Ryu encodes each of them once, and they are put together
# here.


class _FlowMod(parser.MsgBase):  # type: ignore[misc]
    """OFPT_FLOW_MOD with a body that is encoded already."""

    cls_msg_type = ofp.OFPT_FLOW_MOD

    def __init__(self, datapath: Datapath, body: bytes) -> None:
        super().__init__(datapath)
        self._body = body

    def _serialize_body(self) -> None:
        self.buf += self._body


def _flow_mod(
    datapath: Datapath, flow: Flow, command: int, *, cookie: int = 0, encoded: bytes = b""
) -> Message:
    head = _head(flow.stage.number, command, flow.priority, cookie)
    return _FlowMod(datapath, head + match(flow.match) + encoded)


def _head(table: int, command: int, priority: int, cookie: int = 0) -> bytes:
    table_and_times = (table, command, 0, 0, priority)
    outputs = (ofp.OFP_NO_BUFFER, ofp.OFPP_ANY, ofp.OFPG_ANY, 0)
    return struct.pack(ofp.OFP_FLOW_MOD_PACK_STR0, cookie, 0, *table_and_times, *outputs)


def match(conditions: Match) -> bytes:
    """The match, encoded. What a field depends on comes before it, as the order of `Match` has it."""
    fields = b"".join(map(_condition, conditions))
    length = 4 + len(fields)
    return struct.pack("!HH", ofp.OFPMT_OXM, length) + fields + bytes(-length % 8)


@lru_cache(maxsize=1 << 16)
def _condition(term: Term) -> bytes:
    value = _user(term.field, term.value)
    if not term.exact:
        value = (value, _user(term.field, term.mask))
    encoded = bytearray()
    ofp.oxm_serialize(*ofp.oxm_from_user(term.field.ryu, value), encoded, 0)
    return bytes(encoded)


def _user(field: Field, value: int) -> Any:
    return field.show(value) if field in _SHOWN else value


def instructions(actions: Iterable[Action]) -> bytes:
    """The actions as instructions, encoded, in the order that OpenFlow gives these."""
    first = applied = last = b""
    for action in actions:
        if isinstance(action, Meter):
            first = struct.pack("!HHI", ofp.OFPIT_METER, 8, action.id)
        elif isinstance(action, Goto):
            last = struct.pack("!HHB3x", ofp.OFPIT_GOTO_TABLE, 8, action.stage.number)
        else:
            applied += _encoded(action)
    if applied:
        applied = struct.pack("!HH4x", ofp.OFPIT_APPLY_ACTIONS, 8 + len(applied)) + applied
    return first + applied + last


@lru_cache(maxsize=1 << 16)
def _encoded(action: Action) -> bytes:
    encoded = bytearray()
    _action(action).serialize(encoded, 0)
    return bytes(encoded)


# -- actions ---------------------------------------------------------------------------------------


def _action(action: Action) -> Any:
    match action:
        case Output(port):
            return parser.OFPActionOutput(port)
        case OutputTo(bits):
            span = nicira_ext.ofs_nbits(bits.first, bits.last)
            return parser.NXActionOutputReg(span, bits.field.ryu, WHOLE_PACKET)
        case InPort():
            return parser.OFPActionOutput(ofp.OFPP_IN_PORT)
        case Controller():
            return parser.OFPActionOutput(ofp.OFPP_CONTROLLER, WHOLE_PACKET)
        case Load():
            return _load(action)
        case Set(field, value):
            return _set(field, value)
        case Move(source, to):
            names = {"src_field": source.field.ryu, "dst_field": to.field.ryu}
            return parser.NXActionRegMove(n_bits=to.width, src_ofs=source.first, dst_ofs=to.first, **names)
        case DecTtl():
            return parser.OFPActionDecNwTtl()
        case Multipath(ways, basis, to, by):
            span = nicira_ext.ofs_nbits(to.first, to.last)
            modulo = nicira_ext.NX_MP_ALG_MODULO_N
            return parser.NXActionMultipath(HASH_FIELDS[by], basis, modulo, ways - 1, 0, span, to.field.ryu)
        case Resubmit(stage):
            return parser.NXActionResubmitTable(table_id=stage.number)
        case Conjunction(number, condition, of):
            return parser.NXActionConjunction(clause=condition - 1, n_clauses=of, id_=number)
        case Learn():
            return _learn(action)
        case Ct():
            return _ct(action)
    raise TypeError(f"{action} is an instruction")


def _load(action: Load) -> Any:
    bits = action.to
    if bits.width > 64:
        return parser.OFPActionSetField(**{bits.field.ryu: action.value})
    return parser.NXActionRegLoad(nicira_ext.ofs_nbits(bits.first, bits.last), bits.field.ryu, action.value)


def _set(field: Field, value: int) -> Any:
    if field in _ERICSSON_FIELDS:
        return _SetEricssonField(*_ERICSSON_FIELDS[field], value)
    if field is f.NW_TTL:
        return parser.OFPActionSetNwTtl(value)
    return parser.OFPActionSetField(**{field.ryu: _user(field, value)})


def _learn(action: Learn) -> Any:
    specs = [_learned_condition(condition) for condition in action.matches]
    for part in action.loads:
        to = (part.to.field.ryu, part.to.first)
        specs.append(parser.NXFlowSpecLoad(src=part.value, dst=to, n_bits=part.to.width))
    return _PaddedLearn(
        action.stage.number,
        specs,
        idle_timeout=action.idle_timeout,
        priority=action.priority,
        cookie=action.cookie,
        flags=_DELETE_LEARNED,
    )


def _learned_condition(condition: Term | Bits | Mirror) -> Any:
    if isinstance(condition, Mirror):
        source, to = (condition.source.ryu, 0), (condition.field.ryu, 0)
        return parser.NXFlowSpecMatch(src=source, dst=to, n_bits=condition.field.bits)
    if isinstance(condition, Bits):
        bits = (condition.field.ryu, condition.first)
        return parser.NXFlowSpecMatch(src=bits, dst=bits, n_bits=condition.width)
    field = condition.field
    return parser.NXFlowSpecMatch(src=condition.value, dst=(field.ryu, 0), n_bits=field.bits)


def _ct(action: Ct) -> Any:
    inner = [] if action.nat is None else [_nat(action.nat)]
    inner += [_action(part) for part in action.mark]
    flags = _CT_COMMIT if action.commit else 0
    return parser.NXActionCT(flags, "", action.zone, action.then.number, 0, inner)


def _nat(nat: Nat) -> Any:
    if nat.address is None:
        return _PaddedNat(0)
    flags = _NAT_SRC if nat.side == "src" else _NAT_DST
    options: dict[str, Any] = {f"range_ipv{nat.address.version}_min": str(nat.address)}
    if nat.ports is not None:
        first, last = nat.ports
        options["range_proto_min"] = first
        if last != first:
            options["range_proto_max"] = last
    return _PaddedNat(flags, **options)

"""The baseline: a switch that learns where its neighbours are. Lessons start from here.

Run it in place of the cluster's controller: `python -m controllers.runtime controllers.learning_switch`.
"""

from __future__ import annotations

from typing import Any

from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib.packet import ethernet, packet
from ryu.ofproto import ofproto_v1_3

FORGET_AFTER = 60
"""Seconds without traffic after which a learned address is forgotten: hosts move."""


class LearningSwitch(app_manager.RyuApp):  # type: ignore[misc]
    """Learns MAC addresses and forwards frames to where they live."""

    # A controller and a switch agree on one version of OpenFlow when they meet.
    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # What has been learned, a switch: MAC address → port.
        self._ports: dict[int, dict[str, int]] = {}

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)  # type: ignore[untyped-decorator]
    def on_connect(self, event: Any) -> None:
        """A new switch has an empty table and drops everything: its first flow asks the controller."""
        switch = event.msg.datapath
        parser, ofp = switch.ofproto_parser, switch.ofproto
        # An empty match is true for every packet; priority 0 makes it the last resort ("table miss").
        ask = parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)
        self._add_flow(switch, 0, parser.OFPMatch(), [ask], 0)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)  # type: ignore[untyped-decorator]
    def on_packet(self, event: Any) -> None:
        """The switch does not know what to do with a frame and hands it up."""
        message = event.msg
        switch, in_port = message.datapath, message.match["in_port"]
        parser, ofp = switch.ofproto_parser, switch.ofproto
        frame = packet.Packet(message.data).get_protocol(ethernet.ethernet)

        # Whoever sends from a port lives behind that port.
        ports = self._ports.setdefault(switch.id, {})
        ports[frame.src] = in_port

        # A known destination is behind one port; an unknown one, or everyone, may be behind any.
        out_port = ports.get(frame.dst, ofp.OFPP_FLOOD)
        actions = [parser.OFPActionOutput(out_port)]

        # Once both ends are known, the switch can do without us: the next frame meets this flow. Matching
        # the source too makes the first frame of every new pair come up, or nobody would be learned.
        if out_port != ofp.OFPP_FLOOD:
            match = parser.OFPMatch(in_port=in_port, eth_src=frame.src, eth_dst=frame.dst)
            self._add_flow(switch, 1, match, actions, FORGET_AFTER)

        # A flow does not look back at the frame that caused it: that one we send ourselves.
        switch.send_msg(parser.OFPPacketOut(switch, ofp.OFP_NO_BUFFER, in_port, actions, data=message.data))

    def _add_flow(
        self, switch: Any, priority: int, match: Any, actions: list[Any], idle_timeout: int
    ) -> None:
        parser, ofp = switch.ofproto_parser, switch.ofproto
        apply = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)]
        switch.send_msg(
            parser.OFPFlowMod(
                switch, priority=priority, match=match, instructions=apply, idle_timeout=idle_timeout
            )
        )

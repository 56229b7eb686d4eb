"""The NAT gateway: what leaves the inside gets a public address, and only answers come back.

One zone holds every connection. New ones from the inside are translated; new ones to a public
address are nobody's and vanish; other new ones are routed as they are and remembered, so that
answers to them are not translated either.
"""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline.actions import Ct, Goto, Nat, OutputTo
from controllers.pipeline.features.routing import routes
from controllers.pipeline.fields import ct_state
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, ip, match, src
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import OUT_PORT
from controllers.pipeline.tables import (
    CONNTRACK_COMMIT,
    CONNTRACK_STATE,
    CONNTRACK_ZONE,
    L3_FORWARDING,
    OUTPUT,
)
from controllers.pipeline.view import RouterView, networks_of, of_family

PORTS = (1024, 65535)
"""Source ports on the public address."""

_NEW = ct_state("+trk+new")


def flows(view: RouterView) -> Iterator[Flow]:
    """TTLGuard to Output of a NAT gateway."""
    yield from routes(view, CONNTRACK_ZONE, CONNTRACK_COMMIT)
    for family in view.families:
        looked_up = (Ct(view.bridge.zone, CONNTRACK_STATE, nat=Nat()),)
        yield Flow(CONNTRACK_ZONE, 200, match(ip(family)), looked_up, PIPELINE, "look-up")
        yield from _family_flows(view, family)
    yield Flow(CONNTRACK_STATE, 300, match(ct_state("+trk+inv")), (), PIPELINE, "invalid")
    yield Flow(CONNTRACK_STATE, 0, match(), (Goto(L3_FORWARDING),), PIPELINE, "route")
    yield Flow(CONNTRACK_COMMIT, 0, match(), (Goto(OUTPUT),), PIPELINE, "known-connection")
    yield Flow(OUTPUT, 200, match(ct_state("+trk+inv")), (), PIPELINE, "untranslated")
    yield Flow(OUTPUT, 100, match(), (OutputTo(OUT_PORT),), PIPELINE, "send")


def _family_flows(view: RouterView, family: int) -> Iterator[Flow]:
    zone = view.bridge.zone
    inside = networks_of(view.bridge.inside, family)
    new = (*ip(family), _NEW)
    for public in of_family(view.bridge.public_addresses, family):
        unsolicited = match(new, dst(public))
        yield Flow(CONNTRACK_STATE, 200, unsolicited, (), view.ref, "unsolicited")
        translated = (Ct(zone, OUTPUT, nat=Nat("src", public, PORTS), commit=True),)
        for network in inside:
            yield Flow(CONNTRACK_COMMIT, 200, match(new, src(network)), translated, view.ref, "translate")
    as_it_is = (Ct(zone, OUTPUT, commit=True),)
    for network in inside:
        yield Flow(CONNTRACK_COMMIT, 210, match(new, dst(network)), as_it_is, view.ref, "inwards")
    yield Flow(CONNTRACK_COMMIT, 100, match(new), as_it_is, view.ref, "passing-through")

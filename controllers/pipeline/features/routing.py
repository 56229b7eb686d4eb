"""A router's routes: neighbours, then the longest prefix, over equal-cost next hops by hash."""

from __future__ import annotations

from collections.abc import Iterator

from controllers.pipeline import fields as f
from controllers.pipeline.actions import Action, Goto, Multipath, OutputTo, load, punt, write
from controllers.pipeline.features.ttl import decrement, expiry
from controllers.pipeline.flow import Flow
from controllers.pipeline.match import dst, match
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import OUT_PORT, ROUTE, ROUTE_SLOT, Punt
from controllers.pipeline.tables import L3_DEC_TTL, L3_FORWARDING, NEXT_HOP, OUTPUT, TTL_GUARD, Stage
from controllers.pipeline.view import RouterView
from emulator.cluster.model import Ref
from emulator.cluster.wiring import IPNetwork, NextHop, Route

SHORTEST_PREFIX = 100
"""Priority of a route to everywhere; every bit of prefix adds one."""


def flows(view: RouterView) -> Iterator[Flow]:
    """TTLGuard to Output of a router that translates nothing."""
    yield from routes(view, L3_FORWARDING, OUTPUT)
    yield Flow(OUTPUT, 100, match(), (OutputTo(OUT_PORT),), PIPELINE, "send")


def routes(view: RouterView, after_guard: Stage, after_ttl: Stage) -> Iterator[Flow]:
    """TTLGuard, L3Forwarding, NextHop and L3DecTTL; `after_guard` follows the first, `after_ttl` the last."""
    yield from expiry(view.families)
    yield Flow(TTL_GUARD, 0, match(), (Goto(after_guard),), PIPELINE, "ttl-left")
    for port, address in view.neighbours():
        way = (*_hop(view, NextHop(port.ofport, port.peer_mac)), Goto(L3_DEC_TTL))
        priority = SHORTEST_PREFIX + address.max_prefixlen
        yield Flow(L3_FORWARDING, priority, match(dst(address)), way, view.ref, "to-neighbour")
    yield from _prefixes(view)
    unknown = punt(Punt.NET_UNREACHABLE)
    yield Flow(L3_FORWARDING, 0, match(), unknown, PIPELINE, "no-route")
    yield from decrement(view.families, after_ttl)


def _prefixes(view: RouterView) -> Iterator[Flow]:
    groups: dict[tuple[NextHop, ...], int] = {}
    neighbours = {address for _, address in view.neighbours()}
    for route in view.bridge.routes:
        if route.destination.prefixlen == route.destination.max_prefixlen and (
            route.destination.network_address in neighbours
        ):
            continue
        yield _route(view, route, groups)
    yield from _next_hops(view, groups)
    routed = {route.destination for route in view.bridge.routes}
    subnets = dict.fromkeys(g.network for segment in view.segments for g in segment.gateways)
    for subnet in subnets:
        if subnet not in routed:
            silent = punt(Punt.HOST_UNREACHABLE)
            condition = match(dst(subnet))
            yield Flow(L3_FORWARDING, _priority(subnet), condition, silent, view.ref, "no-such-neighbour")


def _priority(destination: IPNetwork) -> int:
    return SHORTEST_PREFIX + destination.prefixlen


def _route(view: RouterView, route: Route, groups: dict[tuple[NextHop, ...], int]) -> Flow:
    owner = Ref("Route", view.bridge.name, str(route.destination))
    condition, priority = match(dst(route.destination)), _priority(route.destination)
    if len(route.next_hops) == 1:
        way = (*_hop(view, route.next_hops[0]), Goto(L3_DEC_TTL))
        return Flow(L3_FORWARDING, priority, condition, way, owner, "route")
    group = groups.setdefault(route.next_hops, len(groups) + 1)
    spread = Multipath(len(route.next_hops), view.bridge.datapath_id, ROUTE_SLOT)
    hashed = (load(ROUTE, group), spread, Goto(NEXT_HOP))
    return Flow(L3_FORWARDING, priority, condition, hashed, owner, "equal-cost-routes")


def _next_hops(view: RouterView, groups: dict[tuple[NextHop, ...], int]) -> Iterator[Flow]:
    for next_hops, group in groups.items():
        for slot, next_hop in enumerate(next_hops):
            way = (*_hop(view, next_hop), Goto(L3_DEC_TTL))
            yield Flow(NEXT_HOP, 200, match(ROUTE(group), ROUTE_SLOT(slot)), way, view.ref, "next-hop")


def _hop(view: RouterView, hop: NextHop) -> tuple[Action, ...]:
    return (write(f.ETH_SRC, view.mac), write(f.ETH_DST, hop.mac), load(OUT_PORT, hop.ofport))

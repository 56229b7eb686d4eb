"""The scheduler: a node for every pod that has none, and addresses for every pod that has a node.

CPU and memory requests are not looked at. Among the nodes that will do it takes the preferred one,
then the one with the fewest pods of the same controller (on the node, then in its zone), then the
emptiest, then the first: so replicas spread, and the same cluster is always placed in the same way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject
from emulator.cluster import crowd as crowds
from emulator.cluster import ipam
from emulator.cluster.changes import Change, Update, UpdateStatus, with_status
from emulator.cluster.crowd import Company, Crowd, Place, Spread
from emulator.cluster.events import News, told
from emulator.cluster.host_ports import unanswered
from emulator.cluster.placement import matches_node, node_preference, untolerated_taint
from emulator.cluster.pods import (
    addresses,
    condition,
    is_finished,
    is_host_network,
    is_terminating,
    node_name,
)
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.state import container_ports
from emulator.cluster.wiring import IPAddress, NodePlan, Wiring

SCHEDULER = "default-scheduler"
LAST_INDEX = "mininetes.io/last-pod-index"
"""Annotation of a Node: the index given last, so that a freed address is not given again at once."""

ZONE = "topology.kubernetes.io/zone"
_DISLIKED = frozenset({"PreferNoSchedule"})
_PORTS_TAKEN = "node(s) didn't have free ports for the requested pod ports"


def schedule(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """Bind pending pods, give addresses to bound ones, and say why the others wait."""
    waiting = [pod for pod in snapshot.pods if _wants_node(pod)]
    assigned = [pod for pod in snapshot.pods if _wants_addresses(pod)]
    if not waiting and not assigned:
        return
    pool = _AddressPool(snapshot)
    crowd = crowds.crowd_of(_places(snapshot), snapshot.pods, snapshot.all("Namespace"))
    admitted = [pod for pod in snapshot.pods if addresses(pod) and not is_finished(pod)]
    for pod in sorted(assigned, key=_turn):
        if pool.has_room(pod):
            admission = _admit_on_node(pod, admitted, pool, now)
            yield admission
            if is_finished(admission.obj):
                why = admission.obj["status"]["message"]
                news = News(pod, "NodePorts", why, "kubelet", host=node_name(pod))
                yield _told(snapshot, news, now)
            else:
                yield from _unanswered_ports(snapshot, pod, pool.plan(node_name(pod)), now)
    for pod in sorted(waiting, key=_turn):
        if pod["spec"].get("schedulingGates"):
            why = "Scheduling is blocked due to non-empty scheduling gates"
            yield from _unscheduled(pod, "SchedulingGated", why, now)
            continue
        place, why = choose(pod, crowd)
        if place is None:
            unscheduled = _unscheduled(pod, "Unschedulable", why, now)
            yield from unscheduled
            if unscheduled:
                yield _told(snapshot, News(pod, "FailedScheduling", why, SCHEDULER), now)
        else:
            bound = {**pod, "spec": {**pod["spec"], "nodeName": place.name}}
            crowd.add(bound, place)
            yield Update(bound)
            yield UpdateStatus({**bound, "status": _bound_status(bound, pool, now)})
            yield from _unanswered_ports(snapshot, pod, pool.plan(place.name), now)
    yield from pool.remembered()


def _wants_node(pod: JsonObject) -> bool:
    return (
        not node_name(pod)
        and not is_terminating(pod)
        and pod["spec"].get("schedulerName", SCHEDULER) == SCHEDULER
    )


def _wants_addresses(pod: JsonObject) -> bool:
    return bool(node_name(pod)) and not addresses(pod) and not is_finished(pod) and not is_terminating(pod)


def _turn(pod: JsonObject) -> tuple[int, int, str]:
    """Higher priority first, then whoever came first (versions are numbers in order of arrival)."""
    version = str(pod["metadata"].get("resourceVersion", "0"))
    return (
        -int(pod["spec"].get("priority") or 0),
        int(version) if version.isdigit() else 0,
        pod["metadata"]["name"],
    )


def _places(snapshot: Snapshot) -> Iterator[Place]:
    for plan in snapshot.wiring.nodes:
        node = snapshot.get("Node", "", plan.name)
        if node is not None:
            labels = node["metadata"].get("labels") or {}
            yield Place(node, plan.name, plan.index, labels, ipam.capacity(plan))


# -- choosing --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Wishes:
    """Everything about one pod that every node is asked for."""

    pod: JsonObject
    owner: str
    ports: Sequence[crowds.HostPort]
    company: Company
    required_spread: tuple[Spread, ...]
    preferred_spread: tuple[Spread, ...]


def choose(pod: JsonObject, crowd: Crowd) -> tuple[Place | None, str]:
    """The node for `pod`, or None and why, in the scheduler's words."""
    if not crowd.places:
        return None, "no nodes available to schedule pods"
    wishes = _Wishes(
        pod=pod,
        owner=crowds.owner_uid(pod),
        ports=crowds.host_ports(pod),
        company=crowds.company_of(pod, crowd),
        required_spread=crowds.spreads(pod, crowd, "DoNotSchedule"),
        preferred_spread=crowds.spreads(pod, crowd, "ScheduleAnyway"),
    )
    possible: list[Place] = []
    reasons: dict[str, int] = {}
    for place in crowd.places:
        reason = _obstacle(wishes, place)
        if reason:
            reasons[reason] = reasons.get(reason, 0) + 1
        else:
            possible.append(place)
    if possible:
        return min(possible, key=lambda place: _order(wishes, place, crowd)), ""
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return None, f"0/{len(crowd.places)} nodes are available: {listed}."


def _obstacle(wishes: _Wishes, place: Place) -> str:
    """Why the pod cannot run on the node; empty when it can. The order is the scheduler's."""
    taint = untolerated_taint(wishes.pod, place.node)
    if taint is not None:
        if taint.get("key") == "node.kubernetes.io/unschedulable":
            return "node(s) were unschedulable"
        return f"node(s) had untolerated taint {{{taint.get('key')}: {taint.get('value') or ''}}}"
    if not matches_node(wishes.pod, place.node):
        return "node(s) didn't match Pod's node affinity/selector"
    if crowds.ports_clash(wishes.ports, place.host_ports):
        return _PORTS_TAKEN
    if not is_host_network(wishes.pod) and place.addressed >= place.capacity:
        return "Too many pods"
    for spread in wishes.required_spread:
        if obstacle := spread.obstacle(place):
            return obstacle
    return wishes.company.obstacle(place)


def _order(wishes: _Wishes, place: Place, crowd: Crowd) -> tuple[int, ...]:
    """Nodes in order of liking, the best least."""
    owner = wishes.owner
    return (
        untolerated_taint(wishes.pod, place.node, _DISLIKED) is not None,
        -node_preference(wishes.pod, place.node) - wishes.company.score(place),
        sum(spread.skew(place) or 0 for spread in wishes.preferred_spread),
        place.owners.get(owner, 0) if owner else 0,
        _in_zone(owner, place, crowd) if owner else 0,
        len(place.pods),
        place.order,
    )


def _in_zone(owner: str, place: Place, crowd: Crowd) -> int:
    zone = place.labels.get(ZONE)
    return sum(other.owners.get(owner, 0) for other in crowd.places if other.labels.get(ZONE) == zone)


# -- binding ---------------------------------------------------------------------------------------


def _unscheduled(pod: JsonObject, reason: str, message: str, now: datetime) -> tuple[UpdateStatus, ...]:
    old = condition(pod, "PodScheduled") or {}
    new = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    same = old.get("status") == "False"
    new["lastTransitionTime"] = old["lastTransitionTime"] if same else timestamp(now)
    return with_status(pod, {"phase": "Pending", "conditions": _replaced(pod, new)})


def _replaced(pod: JsonObject, new: JsonObject) -> list[JsonObject]:
    others = (pod.get("status") or {}).get("conditions") or ()
    return [*(c for c in others if c.get("type") != new["type"]), new]


def _told(snapshot: Snapshot, news: News, now: datetime) -> Change:
    return told(news, snapshot.get(*news.key), now)


def _unanswered_ports(snapshot: Snapshot, pod: JsonObject, plan: NodePlan, now: datetime) -> Iterator[Change]:
    if is_host_network(pod):
        return
    for why in unanswered(container_ports(pod), plan):
        yield _told(snapshot, News(pod, "HostPortUnreachable", why, "kubelet", host=plan.name), now)


def _admit_on_node(
    pod: JsonObject, admitted: list[JsonObject], pool: _AddressPool, now: datetime
) -> UpdateStatus:
    """A pod that names its node was not scheduled; the node itself refuses it when its ports are taken.

    A hostNetwork pod is let in: the node's stack will tell it that the address is in use.
    """
    here = [p for p in admitted if node_name(p) == node_name(pod)]
    taken = [port for other in here for port in crowds.host_ports(other)]
    if not is_host_network(pod) and crowds.ports_clash(crowds.host_ports(pod), taken):
        why = f"Pod was rejected: Predicate NodePorts failed: {_PORTS_TAKEN}"
        status = {**(pod.get("status") or {}), "phase": "Failed", "reason": "NodePorts", "message": why}
        return UpdateStatus({**pod, "status": status})
    admitted.append(pod)
    return UpdateStatus({**pod, "status": _bound_status(pod, pool, now)})


def _bound_status(pod: JsonObject, pool: _AddressPool, now: datetime) -> JsonObject:
    status = dict(pod.get("status") or {})
    old = condition(pod, "PodScheduled") or {}
    since = old.get("lastTransitionTime") if old.get("status") == "True" else None
    scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": since or timestamp(now)}
    status.update(phase="Pending", conditions=_replaced(pod, scheduled))
    plan = pool.plan(node_name(pod))
    host_ips = [address.ip for address in plan.addresses]
    pod_ips = pool.take(pod)
    status.update(
        hostIP=str(host_ips[0]),
        hostIPs=[{"ip": str(address)} for address in host_ips],
        podIP=str(pod_ips[0]),
        podIPs=[{"ip": str(address)} for address in pod_ips],
    )
    return status


class _AddressPool:
    """The pod indexes in use on each node, during one round."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._used: dict[str, set[int]] = {plan.name: set() for plan in snapshot.wiring.nodes}
        self._last: dict[str, int] = {}
        self._plans = _plans(snapshot.wiring)
        for pod in snapshot.pods:
            plan = self._plans.get(node_name(pod))
            if plan is None or is_finished(pod) or is_host_network(pod):
                continue
            indexes = (ipam.index_of(plan, address) for address in addresses(pod))
            self._used[plan.name].update(index for index in indexes if index is not None)

    def plan(self, node: str) -> NodePlan:
        return self._plans[node]

    def has_room(self, pod: JsonObject) -> bool:
        """Whether the pod's node exists and has an address left."""
        plan = self._plans.get(node_name(pod))
        return plan is not None and (is_host_network(pod) or len(self._used[plan.name]) < ipam.capacity(plan))

    def take(self, pod: JsonObject) -> tuple[IPAddress, ...]:
        """Addresses for a pod whose node has room: the node's for hostNetwork, else the next free ones."""
        plan = self._plans[node_name(pod)]
        if is_host_network(pod):
            return tuple(address.ip for address in plan.addresses)
        used = self._used[plan.name]
        index = ipam.next_index(plan, used, self._last.get(plan.name, self._recorded(plan.name)))
        used.add(index)
        self._last[plan.name] = index
        return ipam.pod_addresses(plan, index)

    def _recorded(self, node: str) -> int:
        obj = self._snapshot.get("Node", "", node)
        text = ((obj or {}).get("metadata", {}).get("annotations") or {}).get(LAST_INDEX, "")
        return int(text) if text.isdigit() else 0

    def remembered(self) -> Iterator[Change]:
        """The Nodes that gave out addresses, with the last index on them."""
        for name, index in self._last.items():
            node = self._snapshot.get("Node", "", name)
            if node is not None:
                annotations = {**(node["metadata"].get("annotations") or {}), LAST_INDEX: str(index)}
                yield Update({**node, "metadata": {**node["metadata"], "annotations": annotations}})


def _plans(wiring: Wiring) -> dict[str, NodePlan]:
    return {plan.name: plan for plan in wiring.nodes}

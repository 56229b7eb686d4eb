"""All control loops together, and how to run them until nothing is left to do.

Whoever holds the store calls `settle` after every change to it, and again at `next_wake`.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from emulator.api.store import Store
from emulator.cluster.changes import Change, Refusal, apply_changes
from emulator.cluster.cloud import load_balancers
from emulator.cluster.endpoints import endpoint_slices
from emulator.cluster.events import event_expires_at, expired_events
from emulator.cluster.garbage import collect_garbage
from emulator.cluster.ingress.status import ingresses
from emulator.cluster.ingress.webhook import webhook_certificates
from emulator.cluster.inventory import inventory
from emulator.cluster.mirroring import mirrored_slices
from emulator.cluster.node_life import eviction_moments, node_lifecycle
from emulator.cluster.pods import is_active, is_ready
from emulator.cluster.scheduler import schedule
from emulator.cluster.service_ranges import service_addresses
from emulator.cluster.snapshot import Snapshot, controller_of
from emulator.cluster.wiring import Wiring
from emulator.cluster.workloads.common import available_at
from emulator.cluster.workloads.daemonset import daemon_sets
from emulator.cluster.workloads.deployment import deployments
from emulator.cluster.workloads.job import deadline, expires_at, is_over, jobs
from emulator.cluster.workloads.progress import stall_moments
from emulator.cluster.workloads.replicaset import replica_sets
from emulator.cluster.workloads.statefulset import stateful_sets

MAX_ROUNDS = 100


def reconcile(snapshot: Snapshot, now: datetime) -> tuple[Change, ...]:
    """One round of every control loop: the changes that bring the objects nearer to what they ask for."""
    return tuple(_changes(snapshot, now))


def _changes(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    yield from inventory(snapshot, now)
    yield from node_lifecycle(snapshot, now)
    yield from collect_garbage(snapshot)
    yield from expired_events(snapshot, now)
    yield from deployments(snapshot, now)
    yield from replica_sets(snapshot, now)
    yield from stateful_sets(snapshot, now)
    yield from daemon_sets(snapshot, now)
    yield from jobs(snapshot, now)
    yield from schedule(snapshot, now)
    yield from endpoint_slices(snapshot)
    yield from load_balancers(snapshot, now)
    yield from mirrored_slices(snapshot)
    yield from service_addresses(snapshot, now)
    yield from ingresses(snapshot, now)
    yield from webhook_certificates(snapshot)


def settle(store: Store, wiring: Wiring, now: datetime) -> tuple[Refusal, ...]:
    """Run rounds until the store stops changing; returns what the store refused for good.

    Raises RuntimeError when the loops keep undoing each other's work, which is a mistake in them.
    """
    refused: dict[str, Refusal] = {}
    for _ in range(MAX_ROUNDS):
        before = store.resource_version
        changes = reconcile(Snapshot(store.objects(), wiring), now)
        for refusal in apply_changes(store, changes):
            if not refusal.is_outdated:
                refused.setdefault(refusal.error.message, refusal)
        if store.resource_version == before:
            return tuple(refused.values())
    raise RuntimeError(f"the control loops did not settle in {MAX_ROUNDS} rounds")


def next_wake(snapshot: Snapshot, now: datetime) -> datetime | None:
    """When the mere passing of time changes something next; None when only events can."""
    return min((moment for moment in _moments(snapshot) if moment > now), default=None)


def _moments(snapshot: Snapshot) -> Iterator[datetime]:
    yield from map(event_expires_at, snapshot.all("Event"))
    yield from eviction_moments(snapshot)
    yield from stall_moments(snapshot)
    for job in snapshot.all("Job"):
        moment = expires_at(job) if is_over(job) else deadline(job)
        if moment is not None:
            yield moment
    patient = {
        owner["metadata"]["uid"]: owner["spec"]["minReadySeconds"]
        for kind in ("ReplicaSet", "StatefulSet", "DaemonSet")
        for owner in snapshot.all(kind)
        if owner["spec"].get("minReadySeconds")
    }
    if patient:
        for pod in snapshot.pods:
            owner = controller_of(pod)
            if owner and owner["uid"] in patient and is_active(pod) and is_ready(pod):
                yield available_at(pod, patient[owner["uid"]])

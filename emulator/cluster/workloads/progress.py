"""A Deployment's condition Progressing: whether its rollout gets on, is done, paused or stuck.

A rollout gets on while its counts move. When nothing has moved for `progressDeadlineSeconds` it is stuck,
which is said and nothing else: like Kubernetes' controller this one goes on trying.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject
from emulator.cluster.pods import condition
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.workloads.common import parse_time, with_condition

PROGRESSING = "Progressing"
UNDER_WAY, DONE = "ReplicaSetUpdated", "NewReplicaSetAvailable"
PAUSED, STALLED = "DeploymentPaused", "ProgressDeadlineExceeded"
DEFAULT_DEADLINE = 600


def with_progress(
    deployment: JsonObject, replica_set: str, now: datetime, *, complete: bool, moved: bool
) -> list[JsonObject]:
    """The conditions with Progressing as it is now. `moved`: the counts differ from those last reported."""
    old = condition(deployment, PROGRESSING) or {}
    reason = _reason(deployment, old, now, complete=complete, moved=moved)
    text, value = {
        UNDER_WAY: (f'ReplicaSet "{replica_set}" is progressing.', "True"),
        DONE: (f'ReplicaSet "{replica_set}" has successfully progressed.', "True"),
        PAUSED: ("Deployment is paused", "Unknown"),
        STALLED: (f'ReplicaSet "{replica_set}" has timed out progressing.', "False"),
    }[reason]
    is_news = moved or old.get("reason") != reason
    since = timestamp(now) if is_news else old.get("lastUpdateTime", timestamp(now))
    return [
        {**one, "lastUpdateTime": since} if one["type"] == PROGRESSING else one
        for one in with_condition(deployment, PROGRESSING, reason, text, now, value=value)
    ]


def _reason(deployment: JsonObject, old: JsonObject, now: datetime, *, complete: bool, moved: bool) -> str:
    if complete:
        return DONE
    if deployment["spec"].get("paused"):
        return PAUSED
    if moved:
        return UNDER_WAY
    deadline = stalls_at(deployment)
    stuck = old.get("reason") == STALLED or (deadline is not None and deadline <= now)
    return STALLED if stuck else UNDER_WAY


def stalls_at(deployment: JsonObject) -> datetime | None:
    """When its rollout counts as stuck, if nothing moves until then; None: it is not under way."""
    progressing = condition(deployment, PROGRESSING)
    if progressing is None or progressing.get("reason") != UNDER_WAY:
        return None
    since = progressing.get("lastUpdateTime") or progressing["lastTransitionTime"]
    limit = deployment["spec"].get("progressDeadlineSeconds", DEFAULT_DEADLINE)
    return parse_time(since) + timedelta(seconds=limit)


def stall_moments(snapshot: Snapshot) -> Iterator[datetime]:
    """When rollouts that are under way will have taken too long."""
    for deployment in snapshot.all("Deployment"):
        moment = stalls_at(deployment)
        if moment is not None:
            yield moment

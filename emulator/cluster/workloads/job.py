"""Jobs: pods until enough of them have succeeded, or too many have failed.

Unlike in Kubernetes a failed pod is replaced at once, without the back-off delay of 10 s and more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, Create, delete, with_status
from emulator.cluster.naming import fresh_names
from emulator.cluster.pods import is_active, is_ready, is_terminating, is_true, phase
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.workloads.common import claim_pods, parse_time, pod_of, with_condition

INDEX = "batch.kubernetes.io/job-completion-index"


@dataclass(frozen=True, slots=True)
class _Tally:
    """A Job's pods, counted. Deleted pods live on in the status."""

    active: tuple[JsonObject, ...]
    succeeded: int
    failed: int
    done: frozenset[int]
    """Indexed Jobs: the indexes that have succeeded."""
    present: int
    """Pods that still occupy a slot of `parallelism`, terminating ones included."""


def jobs(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """One step for every Job that is not over; the expired ones go."""
    for job in snapshot.all("Job"):
        if "deletionTimestamp" in job["metadata"]:
            continue
        if is_over(job):
            expiry = expires_at(job)
            if expiry is not None and expiry <= now:
                yield delete(job)
            continue
        claim = claim_pods(snapshot, job)
        yield from claim.changes
        yield from _step(snapshot, job, claim.pods, now)


def is_over(job: JsonObject) -> bool:
    """Complete or Failed."""
    return is_true(job, "Complete") or is_true(job, "Failed")


def expires_at(job: JsonObject) -> datetime | None:
    """When `ttlSecondsAfterFinished` removes a Job that is over; None for never."""
    ttl = job["spec"].get("ttlSecondsAfterFinished")
    finished = [
        parse_time(c["lastTransitionTime"])
        for c in (job.get("status") or {}).get("conditions") or ()
        if c.get("type") in ("Complete", "Failed") and c.get("status") == "True"
    ]
    return finished[0] + timedelta(seconds=ttl) if ttl is not None and finished else None


def deadline(job: JsonObject) -> datetime | None:
    """When `activeDeadlineSeconds` ends a running Job; None for never."""
    seconds, start = job["spec"].get("activeDeadlineSeconds"), (job.get("status") or {}).get("startTime")
    return parse_time(start) + timedelta(seconds=seconds) if seconds is not None and start else None


def _step(snapshot: Snapshot, job: JsonObject, pods: Sequence[JsonObject], now: datetime) -> Iterator[Change]:
    spec = job["spec"]
    tally = _tally(job, pods)
    status = _status(job, tally, now)
    end = deadline(job)
    if tally.failed > spec.get("backoffLimit", 6):
        why = ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        yield from _finish(job, tally, status, "Failed", why, now)
    elif end is not None and end <= now:
        why = ("DeadlineExceeded", "Job was active longer than specified deadline")
        yield from _finish(job, tally, status, "Failed", why, now)
    elif _is_complete(job, tally):
        why = ("CompletionsReached", "Reached expected number of succeeded pods")
        yield from _finish(job, tally, status, "Complete", why, now)
    else:
        wanted = 0 if spec.get("suspend") else _wanted(job, tally)
        yield from _create(snapshot, job, tally, wanted - tally.present)
        yield from (delete(pod) for pod in tally.active[wanted:])
        yield from with_status(job, status)


def _tally(job: JsonObject, pods: Sequence[JsonObject]) -> _Tally:
    old = job.get("status") or {}
    active = tuple(pod for pod in pods if is_active(pod))
    succeeded = [pod for pod in pods if phase(pod) == "Succeeded"]
    done = frozenset(_index(pod) for pod in succeeded) | _parse_indexes(old.get("completedIndexes", ""))
    indexed = job["spec"].get("completionMode") == "Indexed"
    terminating = sum(is_terminating(pod) and phase(pod) not in ("Succeeded", "Failed") for pod in pods)
    return _Tally(
        active=active,
        succeeded=len(done) if indexed else max(len(succeeded), old.get("succeeded", 0)),
        failed=max(sum(phase(pod) == "Failed" for pod in pods), old.get("failed", 0)),
        done=done if indexed else frozenset(),
        present=len(active) + terminating,
    )


def _wanted(job: JsonObject, tally: _Tally) -> int:
    """How many pods should run now."""
    parallelism, completions = job["spec"].get("parallelism", 1), job["spec"].get("completions")
    if completions is None:  # a work queue: no new pods once one has succeeded
        return len(tally.active) if tally.succeeded else int(parallelism)
    return int(min(parallelism, max(0, completions - tally.succeeded)))


def _is_complete(job: JsonObject, tally: _Tally) -> bool:
    completions = job["spec"].get("completions")
    if completions is None:
        return tally.succeeded > 0 and not tally.active
    return tally.succeeded >= int(completions)


def _create(snapshot: Snapshot, job: JsonObject, tally: _Tally, count: int) -> Iterator[Create]:
    if count <= 0:
        return
    namespace, name = job["metadata"]["namespace"], job["metadata"]["name"]
    taken = snapshot.pod_names.get(namespace, frozenset())
    if job["spec"].get("completionMode") != "Indexed":
        yield from (Create(pod_of(job, fresh)) for fresh in islice(fresh_names(job, name, taken), count))
        return
    busy = {_index(pod) for pod in tally.active} | tally.done
    free = (index for index in range(job["spec"].get("completions") or 0) if index not in busy)
    for index in islice(free, count):
        yield Create(_indexed_pod(job, next(fresh_names(job, f"{name}-{index}", taken)), index))


def _indexed_pod(job: JsonObject, name: str, index: int) -> JsonObject:
    pod = pod_of(job, name, {INDEX: str(index)})
    pod["metadata"]["annotations"] = {**pod["metadata"].get("annotations", {}), INDEX: str(index)}
    pod["spec"]["hostname"] = f"{job['metadata']['name']}-{index}"
    variable = {
        "name": "JOB_COMPLETION_INDEX",
        "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": f"metadata.labels['{INDEX}']"}},
    }
    for field in ("initContainers", "containers"):
        if pod["spec"].get(field):
            pod["spec"][field] = [{**c, "env": [*(c.get("env") or ()), variable]} for c in pod["spec"][field]]
    return pod


def _index(pod: JsonObject) -> int:
    text = (pod["metadata"].get("annotations") or {}).get(INDEX, "")
    return int(text) if text.isdigit() else -1


def _finish(
    job: JsonObject, tally: _Tally, status: JsonObject, kind: str, why: tuple[str, str], now: datetime
) -> Iterator[Change]:
    yield from (delete(pod) for pod in tally.active)
    status = {
        **status,
        "active": 0,
        "ready": 0,
        "conditions": with_condition(job, kind, *why, now, value="True"),
    }
    if kind == "Complete":
        status["completionTime"] = timestamp(now)
    yield from with_status(job, status)


def _status(job: JsonObject, tally: _Tally, now: datetime) -> JsonObject:
    status: JsonObject = {
        "active": len(tally.active),
        "ready": sum(is_ready(pod) for pod in tally.active),
        "succeeded": tally.succeeded,
        "failed": tally.failed,
    }
    if not job["spec"].get("suspend"):
        status["startTime"] = (job.get("status") or {}).get("startTime") or timestamp(now)
    if tally.done:
        status["completedIndexes"] = _format_indexes(sorted(tally.done))
    return status


def _format_indexes(indexes: Sequence[int]) -> str:
    """`1,3-5,7`, as Kubernetes writes completed indexes."""
    runs: list[list[int]] = []
    for index in indexes:
        if runs and runs[-1][-1] == index - 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _parse_indexes(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)

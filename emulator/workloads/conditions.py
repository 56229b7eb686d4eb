"""A pod's conditions, computed from its containers' records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject
from emulator.workloads.records import Record, Terminated, is_initialized, plain

_OWN = frozenset({"PodScheduled", "Initialized", "ContainersReady", "Ready"})


class _Verdict(NamedTuple):
    kind: str
    holds: bool
    reason: str = ""
    message: str = ""


def conditions(
    pod: JsonObject,
    phase: str,
    init: Sequence[Record],
    containers: Sequence[Record],
    before: Sequence[JsonObject],
    now: datetime,
) -> list[JsonObject]:
    """`status.conditions`: kubelet's own, then those that others have set on `pod`.

    `before` is what this function returned last: a condition that holds on keeps its time.
    """
    given = (pod.get("status") or {}).get("conditions") or ()
    old = {entry["type"]: entry for entry in (*given, *(entry for entry in before if entry["type"] in _OWN))}
    verdicts = [
        _Verdict("PodScheduled", True),
        _initialized(pod, phase, init, containers),
        *_readiness(pod, phase, init, containers),
    ]
    made = [_condition(verdict, old.get(verdict.kind), now) for verdict in verdicts]
    return [*made, *(entry for kind, entry in old.items() if kind not in _OWN)]


def _initialized(
    pod: JsonObject, phase: str, init: Sequence[Record], containers: Sequence[Record]
) -> _Verdict:
    if is_initialized(pod, init, containers):
        return _Verdict("Initialized", True, "PodCompleted" if phase == "Succeeded" else "")
    incomplete = [r.name for r in init if not isinstance(r.state, Terminated) or r.state.exit_code]
    message = f"containers with incomplete status: [{' '.join(incomplete)}]"
    return _Verdict("Initialized", False, "ContainersNotInitialized", message)


def _readiness(
    pod: JsonObject, phase: str, init: Sequence[Record], containers: Sequence[Record]
) -> tuple[_Verdict, _Verdict]:
    if phase in ("Succeeded", "Failed"):
        reason = "PodCompleted" if phase == "Succeeded" else "PodFailed"
        return _Verdict("ContainersReady", False, reason), _Verdict("Ready", False, reason)
    finite = plain(pod, init)
    sidecars = [record for record in init if record not in finite]
    unready = [record.name for record in (*containers, *sidecars) if not record.ready]
    if unready:
        why = ("ContainersNotReady", f"containers with unready status: [{' '.join(unready)}]")
        return _Verdict("ContainersReady", False, *why), _Verdict("Ready", False, *why)
    gate = _closed_gate(pod)
    ready = _Verdict("Ready", False, "ReadinessGatesNotReady", gate) if gate else _Verdict("Ready", True)
    return _Verdict("ContainersReady", True), ready


def _condition(verdict: _Verdict, old: JsonObject | None, now: datetime) -> JsonObject:
    text = "True" if verdict.holds else "False"
    unchanged = old is not None and old.get("status") == text
    since = old.get("lastTransitionTime") if old is not None and unchanged else None
    entry: JsonObject = {
        "type": verdict.kind,
        "status": text,
        "lastProbeTime": None,
        "lastTransitionTime": since or timestamp(now),
    }
    if verdict.reason:
        entry["reason"] = verdict.reason
    if verdict.message:
        entry["message"] = verdict.message
    return entry


def _closed_gate(pod: JsonObject) -> str:
    """Why a readiness gate keeps the pod from being ready; empty when none does."""
    found = {c["type"]: c.get("status") for c in (pod.get("status") or {}).get("conditions") or ()}
    for gate in pod["spec"].get("readinessGates") or ():
        kind = gate["conditionType"]
        if kind not in found:
            return f'corresponding condition of pod readiness gate "{kind}" does not exist.'
        if found[kind] != "True":
            return f'the status of pod readiness gate "{kind}" is not "True", but {found[kind]}'
    return ""

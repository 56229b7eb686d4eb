"""Containers as kubelet knows them: their states and how they came to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject

_INTERRUPTED = 255


@dataclass(frozen=True, slots=True)
class Waiting:
    """Not running (yet, or again)."""

    reason: str
    message: str = ""

    def json(self) -> JsonObject:
        """As `ContainerState`."""
        body = {"reason": self.reason}
        return {"waiting": {**body, "message": self.message} if self.message else body}


@dataclass(frozen=True, slots=True)
class Running:
    """Started."""

    since: datetime

    def json(self) -> JsonObject:
        """As `ContainerState`."""
        return {"running": {"startedAt": timestamp(self.since)}}


@dataclass(frozen=True, slots=True)
class Terminated:
    """Ended."""

    exit_code: int
    reason: str
    started: datetime
    finished: datetime
    message: str = ""
    container_id: str = ""

    def json(self) -> JsonObject:
        """As `ContainerState`."""
        body: JsonObject = {
            "exitCode": self.exit_code,
            "reason": self.reason,
            "startedAt": timestamp(self.started),
            "finishedAt": timestamp(self.finished),
            "containerID": self.container_id,
        }
        return {"terminated": {**body, "message": self.message} if self.message else body}

    @classmethod
    def read(cls, body: JsonObject) -> Terminated:
        """The inverse of `json`, from inside `terminated`."""
        return cls(
            body["exitCode"],
            body["reason"],
            datetime.fromisoformat(body["startedAt"]),
            datetime.fromisoformat(body["finishedAt"]),
            body.get("message", ""),
            body.get("containerID", ""),
        )


State = Waiting | Running | Terminated


@dataclass(frozen=True, slots=True)
class Record:
    """One container as kubelet knows it."""

    name: str
    image: str
    state: State
    last: Terminated | None = None
    restarts: int = 0
    ready: bool = False
    started: bool = False
    """Its startup probe has succeeded, or it has none."""
    container_id: str = ""

    def with_state(self, state: State) -> Record:
        """In another state; a container that ended before is remembered, one that does not run is unready."""
        last = (
            self.state
            if isinstance(self.state, Terminated) and not isinstance(state, Terminated)
            else self.last
        )
        running = isinstance(state, Running)
        return replace(
            self, state=state, last=last, ready=self.ready and running, started=self.started and running
        )

    def json(self) -> JsonObject:
        """As `ContainerStatus`."""
        return {
            "name": self.name,
            "image": self.image,
            "imageID": f"mininetes://{self.image}",
            "containerID": self.container_id,
            "ready": self.ready,
            "started": self.started,
            "restartCount": self.restarts,
            "state": self.state.json(),
            "lastState": self.last.json() if self.last else {},
        }


def recalled(pod: JsonObject, container: JsonObject, now: datetime, *, first: bool) -> Record:
    """The record of a container that is about to start, with what the pod's status says of earlier runs.

    One that ran then has ended unseen, with the kubelet that held it: its status is 255, its reason Unknown.
    `first` ones are init containers.
    """
    waits = not first and bool(pod["spec"].get("initContainers"))
    fresh = Record(
        name=container["name"],
        image=container.get("image") or "",
        state=Waiting("PodInitializing" if waits or first else "ContainerCreating"),
    )
    status = pod.get("status") or {}
    entries = status.get("initContainerStatuses" if first else "containerStatuses") or ()
    old = next((entry for entry in entries if entry["name"] == container["name"]), None)
    if old is None:
        return fresh
    ended = old["state"].get("terminated") or (old.get("lastState") or {}).get("terminated")
    last = Terminated.read(ended) if ended else None
    if running := old["state"].get("running"):
        began = datetime.fromisoformat(running["startedAt"])
        last = Terminated(_INTERRUPTED, "Unknown", began, now, container_id=old.get("containerID", ""))
    return replace(fresh, restarts=old["restartCount"], last=last)


def restart_policy(pod: JsonObject, container: JsonObject, *, first: bool) -> str:
    """The policy that decides about a container; `first` ones (init containers) need to succeed only once."""
    policy = str(pod["spec"].get("restartPolicy") or "Always")
    if not first or is_sidecar(container):
        return str(container.get("restartPolicy") or policy)
    return "Never" if policy == "Never" else "OnFailure"


def is_sidecar(container: JsonObject) -> bool:
    """An init container that keeps running."""
    return container.get("restartPolicy") == "Always"


def plain(pod: JsonObject, init: Sequence[Record]) -> list[Record]:
    """Init containers proper, without the sidecars among them."""
    sidecars = {c["name"] for c in pod["spec"].get("initContainers") or () if is_sidecar(c)}
    return [record for record in init if record.name not in sidecars]


def is_begun(record: Record) -> bool:
    """It has run, now or before."""
    return not isinstance(record.state, Waiting) or record.last is not None


def is_initialized(pod: JsonObject, init: Sequence[Record], containers: Sequence[Record]) -> bool:
    """Init containers have succeeded, sidecars started; sidecars that end later undo nothing."""
    if any(is_begun(record) for record in containers):
        return True
    finite = plain(pod, init)
    done = all(isinstance(record.state, Terminated) and not record.state.exit_code for record in finite)
    return done and all(record.started for record in init if record not in finite)

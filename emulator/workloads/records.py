"""Containers as kubelet knows them: their states and how they came to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from emulator.api.objects import JsonObject


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


def timestamp(moment: datetime) -> str:
    """RFC 3339 in UTC with whole seconds, as Kubernetes writes times."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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


def is_initialized(pod: JsonObject, init: Sequence[Record]) -> bool:
    """Whether the main containers may start: init containers have succeeded, sidecars have started."""
    finite = plain(pod, init)
    done = all(isinstance(record.state, Terminated) and not record.state.exit_code for record in finite)
    return done and all(record.started for record in init if record not in finite)

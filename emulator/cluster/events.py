"""Events are news: who tells them, how they are counted, and that they go an hour after the last one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zlib import crc32

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject, Key
from emulator.cluster.changes import Change, Create, Update, delete
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.workloads.common import parse_time

EVENT_TTL = timedelta(hours=1)
"""The API server's `--event-ttl`."""

_WHEN = ("lastTimestamp", "eventTime", "firstTimestamp")


@dataclass(frozen=True, slots=True)
class News:
    """Something worth telling about an object."""

    about: JsonObject
    reason: str
    """One word, for programs: `FailedScheduling`."""
    message: str
    component: str
    """Who says so: `default-scheduler`, `kubelet`, `kube-proxy`."""
    kind: str = "Warning"
    """`Warning` or `Normal`."""
    host: str = ""
    """The node that it comes from, if any."""

    @property
    def key(self) -> Key:
        """Of the Event that tells it: the same news of the same object has the same one."""
        metadata = self.about["metadata"]
        mark = crc32(f"{metadata.get('uid')} {self.reason} {self.message}".encode())
        return Key("Event", metadata.get("namespace") or "default", f"{metadata['name']}.{mark:08x}")


def told(news: News, known: JsonObject | None, now: datetime) -> Create | Update:
    """The core/v1 Event: a new one, or where it is `known` already the same, counted up."""
    about, key, moment = news.about, news.key, timestamp(now)
    involved = {field: about["metadata"].get(field) for field in ("name", "namespace", "uid")}
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": key.name, "namespace": key.namespace},
        "involvedObject": {
            "apiVersion": about["apiVersion"],
            "kind": about["kind"],
            **{field: value for field, value in involved.items() if value},
        },
        "type": news.kind,
        "reason": news.reason,
        "message": news.message,
        "source": {"component": news.component, **({"host": news.host} if news.host else {})},
        "firstTimestamp": known["firstTimestamp"] if known else moment,
        "lastTimestamp": moment,
        "count": known["count"] + 1 if known else 1,
    }
    return Update(event) if known else Create(event)


def expired_events(snapshot: Snapshot, now: datetime) -> Iterator[Change]:
    """Delete what is old."""
    for event in snapshot.all("Event"):
        if event_expires_at(event) <= now:
            yield delete(event)


def event_expires_at(event: JsonObject) -> datetime:
    """When an Event is too old to be kept."""
    for text in (*(event.get(field) for field in _WHEN), event["metadata"]["creationTimestamp"]):
        try:
            moment = parse_time(text or "")
        except ValueError:
            continue
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) + EVENT_TTL
    raise ValueError(f"the Event {event['metadata']['name']} was never created")

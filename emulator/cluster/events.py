"""Events are news: an hour after something happened last, they go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from emulator.api.objects import JsonObject
from emulator.cluster.changes import Change, delete
from emulator.cluster.snapshot import Snapshot
from emulator.cluster.workloads.common import parse_time

EVENT_TTL = timedelta(hours=1)
"""The API server's `--event-ttl`."""

_WHEN = ("lastTimestamp", "eventTime", "firstTimestamp")


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

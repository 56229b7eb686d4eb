"""Events are kept for an hour after they happened last."""

from __future__ import annotations

from datetime import timedelta

from emulator.api.lifecycle import timestamp
from emulator.api.objects import JsonObject
from emulator.cluster.manager import next_wake

from .lab import Lab


def event(name: str, **fields: object) -> JsonObject:
    involved = {"apiVersion": "v1", "kind": "Pod", "name": "web", "namespace": "default"}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": involved, **fields}


def names(lab: Lab) -> list[str]:
    return [found["metadata"]["name"] for found in lab.store.list("Event")]


def test_an_event_goes_an_hour_after_it_happened_last() -> None:
    lab = Lab()
    first = timestamp(lab.now)
    lab.apply(event("once", firstTimestamp=first, lastTimestamp=first))
    lab.advance(30 * 60)
    lab.apply(event("again", firstTimestamp=first, lastTimestamp=timestamp(lab.now)))
    assert next_wake(lab.snapshot(), lab.now) == lab.now + timedelta(minutes=30)
    lab.advance(30 * 60)
    lab.settle()
    assert names(lab) == ["again"]
    lab.advance(30 * 60)
    lab.settle()
    assert names(lab) == []
    assert next_wake(lab.snapshot(), lab.now) is None


def test_an_event_that_says_not_when_is_as_old_as_its_object() -> None:
    lab = Lab()
    lab.apply(event("silent"), event("micro", eventTime="2026-01-01T00:30:00.000000Z"))
    lab.advance(60 * 60)
    lab.settle()
    assert names(lab) == ["micro"]

"""Answers that go on: watches of one collection, and the changes stream of whole kinds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress

from aiohttp import web

from emulator.api.errors import ApiError, bad_request
from emulator.api.kinds import find_word
from emulator.api.objects import JsonObject
from emulator.api.requests import Selection, Target
from emulator.api.store import Store
from emulator.api.watch import Event, EventType


async def _open(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    return response


def _lines(values: list[JsonObject]) -> bytes:
    return b"".join(json.dumps(value, separators=(",", ":")).encode() + b"\n" for value in values)


async def watch(store: Store, request: web.Request, target: Target) -> web.StreamResponse:
    """Serve `?watch=true`: from `resourceVersion` on, or, without one, everything there is and then what
    follows."""
    selection = Selection.from_query(target, request.query)
    since = request.query.get("resourceVersion", "")
    if since and not since.isdigit():
        raise bad_request(f'resourceVersion: Invalid value: "{since}"')
    kind = target.kind.kind
    start = store.resource_version if since in ("", "0") else int(since)
    follow = store.watch((kind,), start)
    first: list[JsonObject] = []
    if since in ("", "0"):
        existing = [obj for obj in store.list(kind, target.namespace) if selection.includes(obj)]
        first = [{"type": EventType.ADDED.value, "object": target.kind.served(obj)} for obj in existing]
    response = await _open(request)
    timeout = request.query.get("timeoutSeconds", "")
    with suppress(TimeoutError, ConnectionResetError):
        async with asyncio.timeout(float(timeout) if timeout.isdigit() and timeout != "0" else None):
            if request.query.get("sendInitialEvents") == "true":
                first.append(_initial_end(target, start))
            if first:
                await response.write(_lines(first))
            try:
                while True:
                    events = list(_seen_through(selection, await follow.batch()))
                    for event in events:
                        event["object"] = target.kind.served(event["object"])
                    if events:
                        await response.write(_lines(events))
            except ApiError as error:
                await response.write(_lines([{"type": "ERROR", "object": error.status()}]))
    return response


def _initial_end(target: Target, version: int) -> JsonObject:
    """The bookmark that ends the initial events of a streaming list (KEP-3157)."""
    metadata = {"resourceVersion": str(version), "annotations": {"k8s.io/initial-events-end": "true"}}
    kind = target.kind
    return {
        "type": "BOOKMARK",
        "object": {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": metadata},
    }


def _seen_through(selection: Selection, events: list[Event]) -> Iterator[JsonObject]:
    """Events as a reader with this selection sees them: objects enter and leave the selection."""
    for event in events:
        after = event.type is not EventType.DELETED and selection.includes(event.object)
        before = event.previous is not None and selection.includes(event.previous)
        if after:
            yield {"type": (EventType.MODIFIED if before else EventType.ADDED).value, "object": event.object}
        elif before:
            yield {"type": EventType.DELETED.value, "object": event.object}


async def changes(store: Store, request: web.Request) -> web.StreamResponse:
    """Serve `/mininetes/v1/changes?kinds=Node,Pod`: all objects first, then batches of what happened
    since."""
    words = [word for word in request.query.get("kinds", "").split(",") if word]
    kinds = [find_word(word) for word in words]
    unknown = [word for word, kind in zip(words, kinds, strict=True) if kind is None]
    if unknown or not words:
        raise bad_request(f"kinds: unknown: {', '.join(unknown)}" if unknown else "kinds: name at least one")
    names = [kind.kind for kind in kinds if kind is not None]
    response = await _open(request)
    with suppress(ConnectionResetError):
        while True:
            follow = store.watch(names)
            objects = [obj for name in names for obj in store.list(name)]
            await response.write(_lines([_message("SYNC", store.resource_version, objects=objects)]))
            # A reader that fell behind the event log starts over with everything.
            with suppress(ApiError):
                while True:
                    batch = [event.to_json() for event in await follow.batch()]
                    await response.write(_lines([_message("CHANGES", follow.resource_version, events=batch)]))
    return response


def _message(kind: str, version: int, **body: list[JsonObject]) -> JsonObject:
    return {"type": kind, "resourceVersion": str(version), **body}

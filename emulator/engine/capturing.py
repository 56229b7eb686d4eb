"""Captures, as the front receives them: places become interfaces, packets become JSON."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from emulator.api.errors import ApiError, bad_request
from emulator.api.objects import JsonObject
from emulator.cluster.places import PlaceError, parse_place
from emulator.cluster.snapshot import Snapshot
from emulator.engine.probing import Map
from emulator.engine.targets import UnknownPlaceError
from emulator.probes.capture import Record
from emulator.probes.expressions import compiled
from emulator.probes.pcapng import PcapngWriter
from emulator.probes.request import RequestError, Site
from emulator.probes.session import CaptureSession

_QUEUE = 100_000


async def capture(snapshot: Snapshot, body: JsonObject) -> AsyncIterator[JsonObject]:
    """Answer `POST /mininetes/v1/capture`: `{"armed": [places]}` first, then a value a packet.

    With `pcapng` the values are pieces of such a file, `{"pcapng": hex}`. `filter` is an expression of
    tcpdump's. Ends after `count` packets or `seconds`; without either, when the client goes away. Raises
    ApiError.
    """
    sites = _sites(snapshot, body)
    records: asyncio.Queue[Record] = asyncio.Queue(_QUEUE)
    try:
        program = await compiled(body["filter"]) if body.get("filter") else None
        async with CaptureSession(sites, records.put_nowait, program):
            yield {"armed": [site.place for site in sites]}
            taken = _taken(records, body)
            async for value in _file(taken) if body.get("pcapng") else _values(taken):
                yield value
    except (OSError, RequestError) as error:
        raise bad_request(str(error)) from error


async def _values(records: AsyncIterator[Record]) -> AsyncIterator[JsonObject]:
    async for record in records:
        yield dict(record.as_json())


async def _file(records: AsyncIterator[Record]) -> AsyncIterator[JsonObject]:
    pieces = bytearray()
    writer = PcapngWriter(pieces.extend)
    yield {"pcapng": pieces.hex()}
    async for record in records:
        pieces.clear()
        writer.add(record)
        yield {"pcapng": pieces.hex()}


async def _taken(records: asyncio.Queue[Record], body: JsonObject) -> AsyncIterator[Record]:
    clock = asyncio.get_running_loop()
    deadline = clock.time() + float(body["seconds"]) if body.get("seconds") else None
    left = int(body["count"]) if body.get("count") else -1
    while left:
        try:
            yield await asyncio.wait_for(records.get(), None if deadline is None else deadline - clock.time())
        except TimeoutError:
            return
        left -= 1


def _sites(snapshot: Snapshot, body: JsonObject) -> list[Site]:
    chart = Map.of(snapshot)
    sites = []
    try:
        for text in body.get("places") or ():
            known = text in chart.sites
            place = (
                text
                if known
                else chart.directory.site_of(parse_place(text, body.get("namespace") or "default"))
            )
            sites.append(chart.sites[place])
    except (PlaceError, RequestError) as error:
        raise bad_request(str(error)) from error
    except UnknownPlaceError as error:
        raise ApiError(404, "NotFound", str(error)) from error
    if not sites:
        raise bad_request("name at least one place to capture at")
    return sites

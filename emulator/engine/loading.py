"""Loads, as the front receives them: words become streams, and a load goes on until somebody ends it."""

from __future__ import annotations

from itertools import count

from emulator.api.errors import ApiError, bad_request
from emulator.api.objects import JsonObject
from emulator.cluster.places import PlaceError
from emulator.cluster.snapshot import Snapshot
from emulator.engine.probing import Map, request_in
from emulator.engine.targets import UnknownPlaceError
from emulator.probes.load import Load, Stream
from emulator.probes.request import RequestError

DEFAULT_RATE = 20.0
"""Requests a second of a stream that does not say."""


class Loads:
    """The loads that are under way, by their ids."""

    def __init__(self) -> None:
        self._under_way: dict[str, Load] = {}
        self._ids = count(1)

    def start(self, snapshot: Snapshot, body: JsonObject) -> str:
        """Answer `POST /mininetes/v1/loads`: begin, and return the load's id. Raises ApiError."""
        try:
            chart = Map.of(snapshot)
            streams = [_stream(snapshot, chart, body, one) for one in body["streams"]]
            if not streams:
                raise RequestError("a load needs at least one stream")
        except (PlaceError, RequestError, KeyError, TypeError, ValueError) as error:
            raise bad_request(str(error)) from error
        except UnknownPlaceError as error:
            raise ApiError(404, "NotFound", str(error)) from error
        name = str(next(self._ids))
        self._under_way[name] = load = Load(streams)
        load.start()
        return name

    async def stop(self, name: str, at_least: int, *, records: bool) -> JsonObject:
        """End a load, not before it has made `at_least` so many requests, and tell what became of them.

        Raises ApiError 404.
        """
        load = self._under_way.pop(name, None)
        if load is None:
            raise ApiError(404, "NotFound", f"no load {name} is under way (a restarted engine forgets loads)")
        return (await load.stop(at_least)).as_json(records=records)


def _stream(snapshot: Snapshot, chart: Map, body: JsonObject, asked: JsonObject) -> Stream:
    """The stream that `asked` means; without a family the target's first one."""
    request = request_in(snapshot, chart, {"namespace": body.get("namespace"), **asked})
    if request.target.port is None:
        raise RequestError(f"{request.target.name}: a load needs a port")
    return Stream(
        source=request.source,
        netns=chart.sites[request.source].netns,
        target=request.target.name,
        address=request.target.address(request.family),
        port=request.target.port,
        protocol=request.protocol,
        rate=float(asked.get("rate") or DEFAULT_RATE),
        path=request.http.path if request.http else None,
        timeout=float(asked.get("timeout") or 3.0),
    )

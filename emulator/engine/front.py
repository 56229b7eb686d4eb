"""The engine's own routes, beside Kubernetes' paths: readiness, probes, logs, commands in pods."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from aiohttp import web

from emulator.api.errors import ApiError, bad_request
from emulator.api.objects import JsonObject, Key
from emulator.api.rest import make_app
from emulator.cluster.places import PlaceError, parse_place
from emulator.engine import probing
from emulator.engine.capturing import capture
from emulator.engine.daemon import Engine
from emulator.engine.diagnosing import Diagnoser
from emulator.engine.drifting import Drifting
from emulator.engine.entering import place_argv
from emulator.engine.faults.injector import summary
from emulator.engine.flowtables import FlowTables
from emulator.engine.loading import Loads
from emulator.engine.sweeping import matrix
from emulator.engine.tracing import Tracer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_PREFIX = "/mininetes/v1"


def make_front(engine: Engine) -> web.Application:
    """The application that serves a cluster: its objects, and the routes of this module."""
    app = make_app(engine.store)
    routes = _Routes(engine)
    app.middlewares.append(routes.notice_controller)
    app.router.add_get(f"{_PREFIX}/status", routes.status)
    app.router.add_get(f"{_PREFIX}/ready", routes.ready)
    app.router.add_get(f"{_PREFIX}/follow", routes.follow)
    app.router.add_post(f"{_PREFIX}/programmed", routes.programmed)
    app.router.add_post(f"{_PREFIX}/probe", routes.probe)
    app.router.add_post(f"{_PREFIX}/trace", routes.trace)
    app.router.add_post(f"{_PREFIX}/flows", routes.flows)
    app.router.add_post(f"{_PREFIX}/drift", routes.drift)
    app.router.add_post(f"{_PREFIX}/matrix", routes.matrix)
    app.router.add_post(f"{_PREFIX}/diagnose", routes.diagnose)
    app.router.add_get(f"{_PREFIX}/faults", routes.faults)
    app.router.add_post(f"{_PREFIX}/faults", routes.inject)
    app.router.add_delete(f"{_PREFIX}/faults", routes.clear)
    app.router.add_post(f"{_PREFIX}/capture", routes.capture)
    app.router.add_post(f"{_PREFIX}/loads", routes.start_load)
    app.router.add_delete(f"{_PREFIX}/loads/{{name}}", routes.stop_load)
    app.router.add_post(f"{_PREFIX}/exec-argv", routes.exec_argv)
    app.router.add_get(f"{_PREFIX}/logs/{{namespace}}/{{pod}}", routes.logs)
    return app


class _Routes:
    """The handlers."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loads = Loads()
        self._sweeping = asyncio.Lock()
        self._tracer = Tracer()
        self._tables = FlowTables(engine, self._tracer)
        self._drifting = Drifting(engine, self._tables)
        self._diagnoser = Diagnoser(engine, self._tracer, self._drifting)

    @property
    def notice_controller(self) -> Any:
        """Middleware: who follows the changes is the controller, and it listens by then."""

        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path != f"{_PREFIX}/changes":
                return await handler(request)
            try:
                await self._engine.greet_controller()
                return await handler(request)
            finally:
                self._engine.miss_controller()

        return middleware

    async def status(self, _: web.Request) -> web.Response:
        """What runs."""
        engine = self._engine
        programs = engine.programming
        return web.json_response(
            {
                "apiVersion": "mininetes.io/v1",
                "kind": "Status",
                "name": engine.options.name,
                "topology": engine.wiring.name,
                "nodes": [node.name for node in engine.wiring.nodes],
                "bridges": {name: {"flows": program.flows} for name, program in programs.bridges.items()},
                "programmedVersion": programs.resource_version,
                "errors": list(programs.errors),
            }
        )

    async def ready(self, request: web.Request) -> web.Response:
        """Wait until everything is in force."""
        timeout = _number(request.query, "timeout", 60.0)
        readiness = await self._engine.wait_ready(timeout)
        return web.json_response(readiness.as_json())

    async def programmed(self, request: web.Request) -> web.Response:
        """The controller acknowledges."""
        try:
            self._engine.programming.acknowledge(await request.json())
        except (KeyError, TypeError, ValueError) as error:
            raise bad_request(f"not an acknowledgement: {error!r}") from error
        return web.json_response({})

    async def probe(self, request: web.Request) -> web.Response:
        """Send real traffic."""
        body, engine = await _body(request), self._engine
        return web.json_response(await probing.probe(engine.snapshot(), body, engine.workshop))

    async def trace(self, request: web.Request) -> web.Response:
        """Where the flow tables take a packet."""
        body, engine = await _body(request), self._engine
        return web.json_response(await self._tracer.answer(engine.snapshot(), body, engine.workshop))

    async def flows(self, request: web.Request) -> web.Response:
        """What the switches hold."""
        return web.json_response(await self._tables.flows(await _body(request)))

    async def drift(self, request: web.Request) -> web.Response:
        """How that differs from what is computed; with `heal`, what is left once it has been put right."""
        return web.json_response(await self._drifting.drift(await _body(request)))

    async def diagnose(self, request: web.Request) -> web.Response:
        """Why a packet fares as it does."""
        return web.json_response(await self._diagnoser.answer(await _body(request)))

    async def matrix(self, request: web.Request) -> web.Response:
        """Send real traffic between all pairs of places."""
        engine = self._engine
        in_turn = engine.options.datapath == "netdev"
        body = await _body(request)
        # The packets of two sweeps together would fill queues that one leaves room in: each has its turn.
        async with self._sweeping:
            found = await matrix(engine.snapshot(), body, self._tracer, in_turn=in_turn)
        return web.json_response(found)

    async def faults(self, _: web.Request) -> web.Response:
        """What the cluster suffers from on purpose."""
        return web.json_response(summary(self._engine.faults.active))

    async def inject(self, request: web.Request) -> web.Response:
        """Make a fault happen."""
        return web.json_response((await self._engine.faults.inject(await _body(request))).as_json())

    async def clear(self, request: web.Request) -> web.Response:
        """Undo faults: those of the query's names, or all."""
        return web.json_response(summary(await self._engine.faults.clear(request.query.getall("name", ()))))

    async def capture(self, request: web.Request) -> web.StreamResponse:
        """Packets as they pass, a JSON value a line."""
        return await _lines(request, capture(self._engine.snapshot(), await _body(request)))

    async def start_load(self, request: web.Request) -> web.Response:
        """Begin a steady load."""
        return web.json_response({"load": self._loads.start(self._engine.snapshot(), await _body(request))})

    async def stop_load(self, request: web.Request) -> web.Response:
        """End it and report."""
        records = request.query.get("records") == "true"
        at_least = int(_number(request.query, "sent", 0))
        return web.json_response(
            await self._loads.stop(request.match_info["name"], at_least, records=records)
        )

    async def exec_argv(self, request: web.Request) -> web.Response:
        """The command that, run in the sandbox, runs a command in a container."""
        body = await _body(request)
        if body.get("place"):
            return web.json_response({"argv": self._place_argv(body)})
        argv = await self._engine.kubelets.exec_argv(
            Key("Pod", str(body.get("namespace") or "default"), str(body.get("pod", ""))),
            body.get("container"),
            [str(word) for word in body.get("command") or ()],
            tty=bool(body.get("tty")),
        )
        return web.json_response({"argv": argv})

    def _place_argv(self, body: JsonObject) -> list[str]:
        command = [str(word) for word in body.get("command") or ()]
        try:
            return place_argv(
                self._engine.wiring, self._engine.run_dir, parse_place(str(body["place"])), command
            )
        except (PlaceError, LookupError) as error:
            raise ApiError(404, "NotFound", str(error)) from error

    async def logs(self, request: web.Request) -> web.StreamResponse:
        """What a container wrote, a JSON value a piece."""
        key = Key("Pod", request.match_info["namespace"], request.match_info["pod"])
        pieces = self._engine.kubelets.logs(
            key,
            request.query.get("container") or None,
            previous=request.query.get("previous") == "true",
            follow=request.query.get("follow") == "true",
        )
        return await _lines(request, ({"text": piece} async for piece in pieces))

    async def follow(self, request: web.Request) -> web.StreamResponse:
        """One object's states, until the deadline."""
        query = request.query
        kind, name = query.get("kind", ""), query.get("name", "")
        deadline = asyncio.get_running_loop().time() + _number(query, "timeout", 60.0)
        namespace = query.get("namespace") or "default"
        return await _lines(request, self._states(kind, namespace, name, deadline))

    async def _states(
        self, kind: str, namespace: str, name: str, deadline: float
    ) -> AsyncIterator[JsonObject]:
        store = self._engine.store
        watch = store.watch({kind})
        last: object = self
        clock = asyncio.get_running_loop()
        while True:
            found = store.find(Key(kind, namespace, name)) or store.find(Key(kind, "", name))
            if found is not last:
                last = found
                yield {"object": found}
            try:
                await asyncio.wait_for(watch.batch(), deadline - clock.time())
            except TimeoutError:
                return


async def _body(request: web.Request) -> JsonObject:
    try:
        body = await request.json()
    except ValueError as error:
        raise bad_request(f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise bad_request("not a JSON object")
    return body


def _number(query: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(query.get(name, default))
    except ValueError as error:
        raise bad_request(f"{name} is not a number: {query[name]!r}") from error


async def _lines(request: web.Request, values: AsyncIterator[JsonObject]) -> web.StreamResponse:
    """Stream JSON values, one a line. A refusal before the first one still has a status of its own."""
    iterator = aiter(values)
    first = await anext(iterator, None)
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    with suppress(ConnectionResetError):
        if first is not None:
            await response.write(json.dumps(first).encode() + b"\n")
            async for value in iterator:
                await response.write(json.dumps(value).encode() + b"\n")
        await response.write_eof()
    return response

"""The store's HTTP front: Kubernetes' REST paths and verbs, and two helpers of ours under
`/mininetes/v1/`."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from emulator.api import streams
from emulator.api.discovery import documents
from emulator.api.errors import (
    ApiError,
    bad_request,
    method_not_allowed,
    no_such_resource,
    unsupported_media_type,
)
from emulator.api.objects import JsonObject
from emulator.api.requests import Answer, Selection, Target, WriteOptions
from emulator.api.resources import Resources
from emulator.api.store import Store

log = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_BODY_LIMIT = 64 * 1024 * 1024  # bytes; a cluster's worth of manifests in one apply
_OPENAPI_V2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


def make_app(store: Store) -> web.Application:
    """The application that serves `store`.

    Routes added to it later take precedence where their fixed beginning is longer than `/api` or `/apis`, so
    that pods' logs can be served beside the objects.
    """
    front = _Front(store)
    app = web.Application(middlewares=[_refusals], client_max_size=_BODY_LIMIT)
    for path in documents():
        app.router.add_get(path, front.document)
        app.router.add_get(path + "/", front.document)
    app.router.add_get("/openapi/v2", front.openapi_v2)
    for path in ("/healthz", "/livez", "/readyz"):
        app.router.add_get(path, front.healthy)
    app.router.add_get("/mininetes/v1/changes", front.changes)
    app.router.add_post("/mininetes/v1/apply", front.apply)
    for prefix in ("/api/{path:.*}", "/apis/{path:.*}"):
        app.router.add_route("*", prefix, front.resource)
    return app


async def serve(app: web.Application, socket_path: Path) -> web.AppRunner:
    """Serve `app` on a Unix socket that only this user can open; `await runner.cleanup()` ends it.

    A client that goes away cancels what was being done for it, so idle watches do not pile up.
    """
    runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    _unlink(socket_path)
    before = os.umask(0o177)
    try:
        await web.UnixSite(runner, socket_path).start()
    finally:
        os.umask(before)
    return runner


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


@web.middleware
async def _refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals become `Status` objects."""
    try:
        return await handler(request)
    except ApiError as error:
        return _json(error.status(), error.code)
    except web.HTTPRequestEntityTooLarge as error:
        return _json(ApiError(413, "RequestEntityTooLarge", str(error.text)).status(), 413)
    except web.HTTPMethodNotAllowed:
        return _json(method_not_allowed().status(), 405)
    except web.HTTPNotFound:
        return _json(no_such_resource().status(), 404)
    except (web.HTTPException, ConnectionResetError):
        raise
    except Exception as error:
        # A mistake of ours: the client learns that much, the engine's log keeps the traceback.
        log.exception("%s %s", request.method, request.path_qs)
        why = f"the engine failed at this request: {error!r}"
        return _json(ApiError(500, "InternalError", why).status(), 500)


class _Front:
    """The handlers."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._resources = Resources(store)

    async def document(self, request: web.Request) -> web.StreamResponse:
        return _json(documents()[request.path.rstrip("/")])

    async def openapi_v2(self, _request: web.Request) -> web.StreamResponse:
        # kubectl takes an empty document for "validate on the server"; it insists on this media type.
        return web.Response(body=b"", headers={"Content-Type": _OPENAPI_V2})

    async def healthy(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(text="ok")

    async def changes(self, request: web.Request) -> web.StreamResponse:
        return await streams.changes(self._store, request)

    async def apply(self, request: web.Request) -> web.StreamResponse:
        body = await _read(request)
        objects = body.get("objects") if isinstance(body, dict) else None
        if not isinstance(objects, list):
            raise bad_request('expected {"objects": [...]}')
        options = WriteOptions.from_query(request.query)
        return _json({"results": [self._apply_one(obj, options) for obj in objects]})

    def _apply_one(self, obj: Any, options: WriteOptions) -> JsonObject:
        try:
            if not isinstance(obj, dict):
                raise bad_request("a manifest is an object")
            result, answer = self._resources.apply(obj, options)
        except ApiError as error:
            return {"error": error.status()}
        return {"result": result.value, "object": answer.body, "warnings": list(answer.warnings)}

    async def resource(self, request: web.Request) -> web.StreamResponse:
        target = Target.from_path(request.path)
        if request.method == "GET" and request.query.get("watch") in ("true", "1"):
            return await streams.watch(self._store, request, target)
        answer = await self._answer(request, target)
        headers = [("Warning", f'299 - "{_quoted(warning)}"') for warning in answer.warnings]
        return _json(target.kind.served(answer.body), answer.code, headers)

    async def _answer(self, request: web.Request, target: Target) -> Answer:
        resources, query = self._resources, request.query
        match request.method, bool(target.name):
            case "GET", True:
                return resources.get(target)
            case "GET", False:
                return resources.list(target, Selection.from_query(target, query))
            case "POST", _:
                return resources.create(target, await _read(request), WriteOptions.from_query(query))
            case "PUT", True:
                return resources.replace(target, await _read(request), WriteOptions.from_query(query))
            case "PATCH", True:
                options = WriteOptions.from_query(query)
                return resources.patch(target, _media_type(request), await _read(request), options)
            case "DELETE", named:
                options = WriteOptions.from_query(query)
                body = await _read(request) or {}
                if named:
                    return resources.delete(target, body, query.get("gracePeriodSeconds", ""), options)
                return resources.delete_collection(target, Selection.from_query(target, query), body, options)
        raise method_not_allowed()


def _media_type(request: web.Request) -> str:
    return request.headers.get("Content-Type", "application/json").partition(";")[0].strip()


async def _read(request: web.Request) -> Any:
    """The body as JSON (or YAML, where the client says so). Raises ApiError 400 or 415."""
    data = await request.read()
    media_type = _media_type(request)
    if "protobuf" in media_type:
        raise unsupported_media_type(media_type, ("application/json", "application/yaml"))
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError as error:
        if "yaml" not in media_type:
            raise bad_request(f"the body of the request is not JSON: {error}") from error
    return _read_yaml(data)


def _read_yaml(data: bytes) -> Any:
    from emulator.api.documents import (  # only kubectl --server-side with hand-made YAML
        DocumentError,
        read_one,
    )

    try:
        return read_one(data.decode())
    except (DocumentError, UnicodeDecodeError) as error:
        raise bad_request(f"the body of the request is not YAML: {error}") from error


def _json(body: JsonObject, code: int = 200, headers: list[tuple[str, str]] | None = None) -> web.Response:
    text = json.dumps(body, separators=(",", ":"))
    response = web.Response(text=text + "\n", status=code, content_type="application/json")
    for name, value in headers or ():
        response.headers.add(name, value)
    return response


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')

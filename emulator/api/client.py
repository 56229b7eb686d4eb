"""A client of a cluster's REST front over its Unix socket.

Standard library only and blocking: one request at a time on one kept-alive connection; watches and streams
use a connection of their own. Holds no threads and no selectors, so it also runs under eventlet.
"""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from emulator.api.errors import ApiError
from emulator.api.kinds import Kind, find_kind, kind_named
from emulator.api.objects import JsonObject

MERGE_PATCH = "application/merge-patch+json"
STRATEGIC_PATCH = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"

Objects = list[JsonObject]


class ClusterUnreachableError(ConnectionError):
    """Nobody answers at the socket."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("mininetes", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    """The verbs of the REST front. Raises ApiError for refusals, ClusterUnreachableError when nobody
    answers."""

    def __init__(self, socket_path: str | Path, *, timeout: float | None = 60.0) -> None:
        """`timeout` (seconds; None: for ever) bounds the wait for each answer, not for a watch's events."""
        self._path = str(socket_path)
        self._timeout = timeout
        self._connection: _UnixConnection | None = None

    def get(self, kind: str, name: str, namespace: str = "default") -> JsonObject:
        """One object. Raises ApiError 404."""
        return self._object("GET", kind_named(kind).path(namespace, name))

    def find(self, kind: str, name: str, namespace: str = "default") -> JsonObject | None:
        """One object, or None when there is none."""
        try:
            return self.get(kind, name, namespace)
        except ApiError as error:
            if error.code == 404:
                return None
            raise

    def list(self, kind: str, namespace: str = "", *, labels: str = "", fields: str = "") -> Objects:
        """The objects of a kind in one namespace (empty: all) that match the selectors."""
        query = {"labelSelector": labels, "fieldSelector": fields}
        answer = self.request("GET", kind_named(kind).path(namespace) + _query(query))
        defaults = {"apiVersion": kind_named(kind).api_version, "kind": kind}
        return [{**defaults, **item} for item in answer["items"]]

    def create(self, obj: JsonObject) -> JsonObject:
        """Create an object in the namespace that it names (`default` if none). Raises ApiError 409 when it
        exists."""
        kind, namespace, _ = _place(obj)
        return self._object("POST", kind.path(namespace), obj)

    def replace(self, obj: JsonObject) -> JsonObject:
        """Put a whole new state in place. Raises ApiError 409 when its resourceVersion is no longer the
        stored one."""
        kind, namespace, name = _place(obj)
        return self._object("PUT", kind.path(namespace, name), obj)

    def replace_status(self, obj: JsonObject) -> JsonObject:
        """Put the object's status in place, and nothing else."""
        kind, namespace, name = _place(obj)
        return self._object("PUT", kind.path(namespace, name, "status"), obj)

    def patch(
        self,
        kind: str,
        name: str,
        patch: JsonObject | Objects,
        namespace: str = "default",
        *,
        content_type: str = STRATEGIC_PATCH,
        subresource: str = "",
    ) -> JsonObject:
        """Change an object (or its `status` or `scale`) by a merge, strategic merge or JSON patch."""
        path = kind_named(kind).path(namespace, name, subresource)
        return self._object("PATCH", path, patch, content_type=content_type)

    def scale(self, kind: str, name: str, replicas: int, namespace: str = "default") -> JsonObject:
        """Set the number of replicas; returns the `Scale` object."""
        patch = {"spec": {"replicas": replicas}}
        return self.patch(kind, name, patch, namespace, content_type=MERGE_PATCH, subresource="scale")

    def apply(self, obj: JsonObject) -> str:
        """Bring an object to what the manifest says: `created`, `configured` or `unchanged`.

        As `kubectl apply`: fields that an earlier apply set and this manifest no longer has are removed;
        fields that the server or others set stay.
        """
        result = self.apply_all([obj])[0]
        if "error" in result:
            raise ApiError.from_status(result["error"])
        return str(result["result"])

    def apply_all(self, objects: Sequence[JsonObject], *, dry_run: bool = False) -> Objects:
        """Apply many objects in one request, in order; one that fails does not stop the others.

        One result an object: `{"result": "created|configured|unchanged", "object": ..., "warnings": [...]}`
        or `{"error": Status}`.
        """
        query = _query({"dryRun": "All" if dry_run else ""})
        answer = self.request("POST", "/mininetes/v1/apply" + query, {"objects": list(objects)})
        results: Objects = answer["results"]
        return results

    def delete(
        self,
        kind: str,
        name: str,
        namespace: str = "default",
        *,
        grace_seconds: int | None = None,
        propagation: str = "Background",
    ) -> JsonObject:
        """Delete an object; returns its last state. Raises ApiError 404."""
        options: JsonObject = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": propagation}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        return self._object("DELETE", kind_named(kind).path(namespace, name), options)

    def watch(
        self,
        kind: str,
        namespace: str = "",
        *,
        since: str = "",
        labels: str = "",
        fields: str = "",
    ) -> Iterator[JsonObject]:
        """Events `{"type": ..., "object": ...}` younger than version `since` (empty: everything there is,
        first).

        Ends when the server goes away; an ERROR event (410: `since` is too old) is raised as ApiError.
        """
        query = {"watch": "true", "resourceVersion": since, "labelSelector": labels, "fieldSelector": fields}
        for event in self.stream("GET", kind_named(kind).path(namespace) + _query(query)):
            if event["type"] == "ERROR":
                raise ApiError.from_status(event["object"])
            yield event

    def changes(self, kinds: Sequence[str]) -> Iterator[JsonObject]:
        """Everything of these kinds (`SYNC`), then batch after batch of what happens (`CHANGES`).

        A batch holds all that happened since the one before was sent.
        """
        return self.stream("GET", f"/mininetes/v1/changes?kinds={','.join(kinds)}")

    def request(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json"
    ) -> Any:
        """One exchange; returns the decoded answer (text when it is not JSON). Raises ApiError."""
        headers, data = _encode(body, content_type)
        status, kind, payload = self._exchange(method, path, data, headers)
        answer: Any = json.loads(payload) if "json" in kind and payload else payload.decode(errors="replace")
        if status >= 400:
            raise _error(status, answer)
        return answer

    def stream(self, method: str, path: str, body: Any = None) -> Generator[JsonObject, None, None]:
        """One exchange whose answer is a JSON value a line, yielded as they come. Raises ApiError."""
        headers, data = _encode(body, "application/json")
        connection = _UnixConnection(self._path, self._timeout)
        with _reachable(self._path):
            connection.request(method, path, data, headers)
            response = connection.getresponse()
        try:
            if response.status >= 400:
                payload = response.read()
                raise _error(
                    response.status, json.loads(payload) if payload[:1] == b"{" else payload.decode()
                )
            if connection.sock is not None:
                connection.sock.settimeout(None)
            while line := response.readline():
                yield json.loads(line)
        finally:
            response.close()
            connection.close()

    def close(self) -> None:
        """Close the kept connection; the next request opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _object(
        self, method: str, path: str, body: Any = None, *, content_type: str = "application/json"
    ) -> JsonObject:
        answer: JsonObject = self.request(method, path, body, content_type=content_type)
        return answer

    def _exchange(
        self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
    ) -> tuple[int, str, bytes]:
        if self._connection is not None:
            try:
                return _send(self._connection, method, path, data, headers)
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                # The server closed the idle connection before it read the request: a fresh one may ask again.
                self.close()
            except BaseException:
                self.close()
                raise
        self._connection = _UnixConnection(self._path, self._timeout)
        try:
            with _reachable(self._path):
                return _send(self._connection, method, path, data, headers)
        except BaseException:
            self.close()
            raise


def _send(
    connection: _UnixConnection, method: str, path: str, data: bytes | None, headers: Mapping[str, str]
) -> tuple[int, str, bytes]:
    connection.request(method, path, data, dict(headers))
    response = connection.getresponse()
    return response.status, response.getheader("Content-Type", ""), response.read()


@contextmanager
def _reachable(path: str) -> Iterator[None]:
    try:
        yield
    except (
        FileNotFoundError,
        ConnectionRefusedError,
        http.client.RemoteDisconnected,
        ConnectionResetError,
    ) as error:
        raise ClusterUnreachableError(f"no cluster answers at {path}") from error


def _place(obj: JsonObject) -> tuple[Kind, str, str]:
    kind = find_kind(obj.get("apiVersion", ""), obj.get("kind", ""))
    if kind is None:
        message = f'no matches for kind "{obj.get("kind")}" in version "{obj.get("apiVersion")}"'
        raise ApiError(404, "NotFound", message)
    metadata = obj.get("metadata") or {}
    return kind, metadata.get("namespace") or "default", metadata.get("name", "")


def _query(parameters: Mapping[str, str]) -> str:
    given = {name: value for name, value in parameters.items() if value}
    return f"?{urlencode(given, quote_via=quote)}" if given else ""


def _encode(body: Any, content_type: str) -> tuple[dict[str, str], bytes | None]:
    if body is None:
        return {}, None
    return {"Content-Type": content_type}, json.dumps(body).encode()


def _error(status: int, answer: Any) -> ApiError:
    if isinstance(answer, dict) and answer.get("kind") == "Status":
        return ApiError.from_status(answer)
    return ApiError(status, http.client.responses.get(status, ""), str(answer))

"""Refusals of the API server: HTTP code, reason and message as Kubernetes words them."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.api.findings import Finding
from emulator.api.kinds import Kind
from emulator.api.objects import JsonObject


class ApiError(Exception):
    """A request that the API server refuses; `status()` is the answer's body."""

    def __init__(self, code: int, reason: str, message: str, details: JsonObject | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details or {}

    def status(self) -> JsonObject:
        """The kind `Status` that a client receives."""
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "details": self.details,
            "code": self.code,
        }

    @classmethod
    def from_status(cls, status: JsonObject) -> ApiError:
        """The error that a received `Status` stands for."""
        code = status.get("code", 500)
        message = status.get("message", f"status {code}")
        return cls(code, status.get("reason", ""), message, status.get("details"))


def _details(kind: Kind, name: str) -> JsonObject:
    details = {"name": name, "group": kind.group, "kind": kind.plural}
    return {field: value for field, value in details.items() if value}


def not_found(kind: Kind, name: str) -> ApiError:
    """404: no such object."""
    return ApiError(404, "NotFound", f'{kind.qualified_plural} "{name}" not found', _details(kind, name))


def no_such_resource() -> ApiError:
    """404: the server has no such path."""
    return ApiError(404, "NotFound", "the server could not find the requested resource")


def already_exists(kind: Kind, name: str) -> ApiError:
    """409: an object of this name exists."""
    message = f'{kind.qualified_plural} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, _details(kind, name))


def conflict(kind: Kind, name: str, why: str) -> ApiError:
    """409: the object is not what the client thinks it is."""
    message = f'Operation cannot be fulfilled on {kind.qualified_plural} "{name}": {why}'
    return ApiError(409, "Conflict", message, _details(kind, name))


def invalid_object(kind: Kind, name: str, findings: Sequence[Finding]) -> ApiError:
    """422: the object breaks rules; every finding becomes a cause."""
    texts = [str(finding) for finding in findings]
    listed = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    subject = f"{kind.kind}.{kind.group}" if kind.group else kind.kind
    details: JsonObject = {"name": name, "group": kind.group, "kind": kind.kind}
    details["causes"] = [finding.cause() for finding in findings]
    return ApiError(422, "Invalid", f'{subject} "{name}" is invalid: {listed}', details)


def bad_request(message: str) -> ApiError:
    """400: the request makes no sense."""
    return ApiError(400, "BadRequest", message)


def forbidden_action(kind: Kind, name: str, why: str) -> ApiError:
    """403: understood, and refused."""
    message = f'{kind.qualified_plural} "{name}" is forbidden: {why}'
    return ApiError(403, "Forbidden", message, _details(kind, name))


def method_not_allowed() -> ApiError:
    """405: the resource has no such verb."""
    message = "the server does not allow this method on the requested resource"
    return ApiError(405, "MethodNotAllowed", message)


def unsupported_media_type(given: str, accepted: Sequence[str]) -> ApiError:
    """415: the body is in a form that the server does not read."""
    known = ", ".join(accepted)
    message = f"the body of the request was in an unknown format - {given}; accepted media types: {known}"
    return ApiError(415, "UnsupportedMediaType", message)


def expired(since: int, oldest: int) -> ApiError:
    """410: the watch's starting point is no longer in memory; list again."""
    return ApiError(410, "Expired", f"too old resource version: {since} ({oldest})")

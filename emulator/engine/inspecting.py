"""What a client asks about flow tables."""

from __future__ import annotations

from emulator.api.client import Client
from emulator.api.objects import JsonObject


class Inspecting:
    """The part of a cluster's client that looks into switches; `_client` speaks to the engine."""

    _client: Client

    def trace(
        self,
        source: str,
        target: str,
        port: str | None = None,
        *,
        namespace: str = "default",
        family: int | None = None,
        source_port: int | None = None,
        live: bool = False,
    ) -> JsonObject:
        """Where the installed flows take a new connection and its answer; the answer is the `Trace` contract.

        A Service's endpoint is chosen by a hash over addresses and ports: with another `source_port` it may
        be another one. With `live` that very packet is sent, and `live` of the answer holds each hop against
        what was captured there. Raises ApiError (404, 400).
        """
        body = {
            "from": source,
            "to": target,
            "port": port,
            "namespace": namespace,
            "family": family,
            "sourcePort": source_port,
            "live": live or None,
        }
        given = {field: value for field, value in body.items() if value is not None}
        answer: JsonObject = self._client.request("POST", "/mininetes/v1/trace", given)
        return answer

    def diagnose(
        self,
        source: str,
        target: str,
        port: str | None = None,
        *,
        namespace: str = "default",
        http: str | None = None,
        family: int | None = None,
        timeout: float | None = None,
    ) -> JsonObject:
        """Why a packet fares as it does; the answer is the `Diagnosis` contract. Raises ApiError (404, 400).

        Spec, trace, wire and drift are asked, and the cause is looked for where something is wrong.
        """
        body = {
            "from": source,
            "to": target,
            "port": port,
            "namespace": namespace,
            "http": http,
            "family": family,
            "timeout": timeout,
        }
        given = {field: value for field, value in body.items() if value is not None}
        answer: JsonObject = self._client.request("POST", "/mininetes/v1/diagnose", given)
        return answer

    def flows(self, node: str | None = None) -> list[JsonObject]:
        """The installed flows of a node or router (None: of all), with owners. Raises ApiError 404."""
        answer: JsonObject = self._client.request("POST", "/mininetes/v1/flows", {"node": node})
        found: list[JsonObject] = answer["items"]
        return found

    def drift(self, node: str | None = None, *, heal: bool = False) -> JsonObject:
        """What is missing, too much or altered in switches and the kernel; with `heal`, what is left of it.

        The answer has `items` and `healed`; each says `by` which active faults, and healing clears these:
        `cleared`. What the controller's audit has lately put right by itself is `repaired`. Raises ApiError.
        """
        answer: JsonObject = self._client.request("POST", "/mininetes/v1/drift", {"node": node, "heal": heal})
        return answer

"""What can be asked of a running cluster about many places at once."""

from __future__ import annotations

from collections.abc import Sequence

from emulator.api.client import Client
from emulator.api.objects import JsonObject


class Asking:
    """The part of `Cluster` that asks such questions."""

    _client: Client

    def matrix(
        self,
        ports: Sequence[str] = ("80/tcp",),
        *,
        namespaces: Sequence[str] | None = None,
        nodes: bool = False,
        external: bool = False,
        family: int | None = None,
        timeout: float | None = None,
        answers: Sequence[str] = ("wire", "spec"),
    ) -> JsonObject:
        """Probe every pair of pods (namespaces None: of all), and of nodes and outside hosts on request.

        `answers` may name `trace` as well: what the flow tables say; without `wire` no packet is sent.
        The answer is the `Matrix` contract. Raises ApiError (404, 400).
        """
        wish = {
            "nodes": nodes,
            "external": external,
            "family": family,
            "timeout": timeout,
            "answers": list(answers),
        }
        given: JsonObject = {field: value for field, value in wish.items() if value is not None}
        if namespaces is not None:
            given["namespaces"] = list(namespaces)
        answer: JsonObject = self._client.request(
            "POST", "/mininetes/v1/matrix", {"ports": list(ports), **given}
        )
        return answer

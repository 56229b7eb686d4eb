"""What a client does to a cluster on purpose."""

from __future__ import annotations

from urllib.parse import urlencode

from emulator.api.client import Client
from emulator.api.objects import JsonObject
from emulator.cluster.faults.catalogue import kind_of_fault


class Faulting:
    """The part of a cluster's client that breaks things; `_client` speaks to the engine."""

    _client: Client

    def inject(self, fault: str, **arguments: object) -> JsonObject:
        """Make a fault happen; returns when it has, with `name`, `arguments` (the seed among them), `did`.

        `docs/faults.md` has all of them. Raises FaultMistake for one that does not exist or arguments that
        cannot be, and ApiError for what this cluster does not have.
        """
        given = kind_of_fault(fault).arguments(arguments)
        answer: JsonObject = self._client.request(
            "POST", "/mininetes/v1/faults", {"fault": fault, "arguments": given}
        )
        return answer

    def clear(self, *names: str) -> list[JsonObject]:
        """Undo faults by name or kind; all of them without names. Returns those that were cleared.

        What was is there again when this returns; `wait_ready` says when the cluster has settled. Raises
        ApiError 404 for a name that no active fault has.
        """
        query = urlencode([("name", name) for name in names])
        answer = self._client.request("DELETE", f"/mininetes/v1/faults?{query}")
        cleared: list[JsonObject] = answer["items"]
        return cleared

    def faults(self) -> list[JsonObject]:
        """The active faults, the oldest first."""
        answer = self._client.request("GET", "/mininetes/v1/faults")
        found: list[JsonObject] = answer["items"]
        return found

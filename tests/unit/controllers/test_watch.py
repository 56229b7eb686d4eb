"""The ledger of objects follows the stream's messages."""

from __future__ import annotations

from typing import Any

import yaml

from controllers.watch import Ledger, Observed

from .cluster import TOPOLOGIES


def topology(name: str = "single-node") -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((TOPOLOGIES / f"{name}.yaml").read_text())
    found["metadata"]["resourceVersion"] = "1"
    return found


def namespace(name: str, **labels: str) -> dict[str, Any]:
    return {"kind": "Namespace", "metadata": {"name": name, "labels": labels}}


def sync(*objects: dict[str, Any], version: str = "5") -> dict[str, Any]:
    return {"type": "SYNC", "resourceVersion": version, "objects": list(objects)}


def changes(*events: tuple[str, dict[str, Any]], version: str = "6") -> dict[str, Any]:
    found = [{"type": kind, "object": obj} for kind, obj in events]
    return {"type": "CHANGES", "resourceVersion": version, "events": found}


def names(observed: Observed | None) -> list[str]:
    assert observed is not None
    return [obj["metadata"]["name"] for obj in observed.snapshot.all("Namespace")]


def test_nothing_is_known_without_a_topology() -> None:
    ledger = Ledger()
    assert ledger.apply(sync(namespace("shop"))) is None
    assert names(ledger.apply(changes(("ADDED", topology())))) == ["shop"]


def test_changes_add_replace_and_remove() -> None:
    ledger = Ledger()
    ledger.apply(sync(topology(), namespace("shop"), namespace("blog")))
    after = ledger.apply(
        changes(("DELETED", namespace("blog")), ("MODIFIED", namespace("shop", team="a")), version="9")
    )
    assert after is not None
    assert after.resource_version == "9"
    assert names(after) == ["shop"]
    assert next(iter(after.snapshot.all("Namespace")))["metadata"]["labels"] == {"team": "a"}


def test_what_was_told_does_not_change_afterwards() -> None:
    ledger = Ledger()
    before = ledger.apply(sync(topology(), namespace("shop")))
    ledger.apply(changes(("ADDED", namespace("blog"))))
    assert names(before) == ["shop"]


def test_a_second_sync_forgets_what_it_does_not_name() -> None:
    ledger = Ledger()
    ledger.apply(sync(topology(), namespace("shop")))
    assert names(ledger.apply(sync(topology(), namespace("blog")))) == ["blog"]


def test_the_plan_is_made_anew_only_for_another_topology() -> None:
    ledger = Ledger()
    one, two = ledger.apply(sync(topology())), ledger.apply(changes(("ADDED", namespace("shop"))))
    assert one is not None
    assert two is not None
    assert one.snapshot.wiring is two.snapshot.wiring

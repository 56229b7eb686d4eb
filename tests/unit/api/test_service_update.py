"""What an update of a Service may leave as it was read, though it means nothing any more."""

from __future__ import annotations

from emulator.api.service_update import settled_update

CONFIG = {"clientIP": {"timeoutSeconds": 60}}
STICKY = {"kind": "Service", "spec": {"sessionAffinity": "ClientIP", "sessionAffinityConfig": CONFIG}}


def test_affinity_is_switched_off_by_one_field() -> None:
    off = {"kind": "Service", "spec": {**STICKY["spec"], "sessionAffinity": "None"}}  # type: ignore[dict-item]
    assert settled_update(STICKY, off)["spec"] == {"sessionAffinity": "None"}


def test_a_configuration_given_anew_is_not_dropped() -> None:
    other = {"clientIP": {"timeoutSeconds": 61}}
    changed = {"kind": "Service", "spec": {"sessionAffinity": "None", "sessionAffinityConfig": other}}
    assert settled_update(STICKY, changed) == changed

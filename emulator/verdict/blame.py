"""Which active faults made a difference that was found: what differs, against what faults have noted.

Values only. An item is one of `diff -o json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType

from emulator.api.objects import JsonObject
from emulator.cluster.faults.fault import Fault
from emulator.verdict.trace.legend import terms

_Judge = Callable[[Fault, JsonObject], bool]


def blamed(item: JsonObject, faults: Sequence[Fault], *, as_faults_say: bool) -> list[str]:
    """The names of the faults that made this difference, the oldest first; none when somebody else did.

    `as_faults_say`: a flow that is as the controller computes it while these faults are active.
    """
    judges = _COMPUTED if as_faults_say else _MADE
    return [fault.name for fault in faults if fault.kind in judges and judges[fault.kind](fault, item)]


def _interface_down(fault: Fault, item: JsonObject) -> bool:
    interfaces = fault.memo.get("interfaces", [interface for _, interface, _ in fault.memo.get("ends", ())])
    return _is(item, "link") and item["installed"] == "down" and item["interface"] in interfaces


def _small(fault: Fault, item: JsonObject) -> bool:
    return _is(item, "mtu") and item["interface"] in (interface for _, interface, _ in fault.memo["ends"])


def _pointed(fault: Fault, item: JsonObject) -> bool:
    memo = fault.memo
    return _is(item, "tunnel") and item["object"] == f"{memo['device']} {memo['mac']}"


def _touched(fault: Fault, item: JsonObject) -> bool:
    """Its flows, one by one."""
    if not _is(item, "flow") or item["bridge"] != fault.memo["bridge"]:
        return False
    return _key(item) in map(_read, fault.memo["keys"])


def _stale(fault: Fault, item: JsonObject) -> bool:
    return _is(item, "flow") and item["node"] == fault.arguments["node"]


def _routeless(fault: Fault, item: JsonObject) -> bool:
    return _is(item, "flow") and item["node"] == fault.memo["router"]


def _untold(_: Fault, item: JsonObject) -> bool:
    """Whatever flows are not as computed, nobody tells the switch."""
    return _is(item, "flow")


def _unheard(_: Fault, item: JsonObject) -> bool:
    """Who advertises nothing, or is not heard, may be missed in any route of any router."""
    return _is(item, "bgp-route")


def _is(item: JsonObject, kind: str) -> bool:
    return bool(item["kind"] == kind)


def _key(item: JsonObject) -> tuple[int, int, frozenset[str]]:
    return item["table"], item["priority"], terms(item["match"])


def _read(key: Iterable[object]) -> tuple[int, int, frozenset[str]]:
    table, priority, match = key
    return int(str(table)), int(str(priority)), terms(str(match))


def _either(*judges: _Judge) -> _Judge:
    return lambda fault, item: any(judge(fault, item) for judge in judges)


_COMPUTED: Mapping[str, _Judge] = MappingProxyType(
    {"flows-altered": _touched, "kube-proxy-stopped": _stale, "vpc-route-removed": _routeless}
)
_DOWN = _either(_interface_down, _unheard)
_MADE: Mapping[str, _Judge] = MappingProxyType(
    {
        "link-down": _DOWN,
        "link-mtu": _small,
        "node-down": _DOWN,
        "nat-gateway-down": _interface_down,
        "internet-gateway-down": _interface_down,
        "wrong-vtep": _pointed,
        "flows-deleted": _touched,
        "controller-down": _untold,
        "bird-down": _unheard,
    }
)

"""What switches hold beside flows, and how it differs from what is computed: meters and groups.

The texts are those of ovs-ofctl(8), `dump-meters` and `dump-groups`. The pipeline meters what it hands to the
controller, and has no groups: an endpoint is chosen by a hash (`multipath`), so a group is somebody else's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from controllers.pipeline.flow import FlowProgram
from controllers.pipeline.owner import PIPELINE
from controllers.pipeline.registers import Punt
from emulator.api.objects import JsonObject
from emulator.cluster.model import Ref
from emulator.network.kernel.facts import Fault

METER, GROUP = "meter", "group"
_METERED = "pktps burst: type=drop rate={rate} burst_size={rate}"
_METER = re.compile(r"^meter=(\d+) (.*?) ?bands=\s*(.*?)\s*$", re.MULTILINE | re.DOTALL)
_GROUP = re.compile(r"^\s*group_id=(\d+),(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class BesideFlows:
    """One meter or group that a switch lacks, has too much, or has otherwise than it was computed."""

    bridge: str
    kind: str
    fault: Fault
    number: int
    computed: str
    installed: str
    owner: Ref | None
    name: str = ""
    """What it meters, by its author."""

    def as_json(self) -> JsonObject:
        """For `diff -o json` and diagnoses."""
        return {
            "bridge": self.bridge,
            "kind": self.kind,
            "fault": self.fault.value,
            "object": f"{self.kind} {self.number}",
            "computed": self.computed,
            "installed": self.installed,
            "owner": str(self.owner) if self.owner else "",
            "name": self.name,
        }


def meters(dump: str) -> dict[int, str]:
    """What `dump-meters` tells, by number."""
    blocks = re.split(r"^(?=meter=)", dump, flags=re.MULTILINE)
    found = filter(None, map(_METER.match, blocks))
    return {int(one[1]): f"{one[2]}: {' '.join(one[3].split())}" for one in found}


def groups(dump: str) -> dict[int, str]:
    """What `dump-groups` tells, by number."""
    return {int(one[1]): one[2] for one in _GROUP.finditer(dump)}


def drift(
    bridge: str, held_meters: Mapping[int, str], held_groups: Mapping[int, str], program: FlowProgram
) -> tuple[BesideFlows, ...]:
    """How a bridge differs, by number; meters first."""
    wanted = {number: _METERED.format(rate=rate) for number, rate in program.meters.items()}
    found = (*_drift(bridge, METER, held_meters, wanted), *_drift(bridge, GROUP, held_groups, {}))
    return tuple(found)


def _drift(
    bridge: str, kind: str, held: Mapping[int, str], wanted: Mapping[int, str]
) -> Iterator[BesideFlows]:
    for number in sorted(held.keys() | wanted.keys()):
        there, planned = held.get(number, ""), wanted.get(number, "")
        if there == planned:
            continue
        fault = Fault.MISSING if not there else Fault.EXTRA if not planned else Fault.ALTERED
        # Every bridge is given its meters by the pipeline, whatever objects have flows that use them.
        owner, name = (PIPELINE, _punt(number)) if planned else (None, "")
        yield BesideFlows(bridge, kind, fault, number, planned, there, owner, name)


def _punt(number: int) -> str:
    return Punt(number).name.lower().replace("_", "-")

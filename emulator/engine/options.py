"""What a cluster was started with: the part of its state that never changes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from emulator.api.objects import JsonObject

VARIABLE = "MININETES_OPTIONS"
"""Environment variable that carries the options to the engine's process, as JSON."""


@dataclass(frozen=True, slots=True)
class Options:
    """The wishes of `mininetes up`."""

    name: str
    topology: JsonObject
    """The Topology object."""
    datapath: str = "netdev"
    offload: bool = False

    def environment(self) -> dict[str, str]:
        """What `from_environment` reads."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> Options:
        """The options that this process was started with. Raises KeyError outside of a sandbox."""
        return cls(**json.loads(os.environ[VARIABLE]))

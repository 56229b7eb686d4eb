"""What a launcher is asked to do, as it travels to it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from emulator.sandbox.places import Process
from emulator.sandbox.services import Ready, Unit

_BOOT = "import sys; sys.path.insert(0, sys.argv[1]); import emulator.sandbox.{0} as m; m.main(sys.argv[2:])"


def python_argv(interpreter: str, module: str, project: str, *arguments: str) -> list[str]:
    """Start a module of this room fast: without site-packages, user settings or environment."""
    return [interpreter, "-I", "-S", "-c", _BOOT.format(module), project, *arguments]


@dataclass(frozen=True)
class Order:
    """One sandbox to build and hold."""

    name: str
    run_dir: str
    socket: str
    interpreter: str
    project: str
    units: tuple[Unit, ...]
    needed: tuple[str, ...]
    """Units that must be ready before the sandbox is."""
    code: tuple[str, ...]
    """Directories of the host that interpreter and programs are read from."""
    homes: tuple[str, ...]
    """Directories of the host to hide beside the usual ones."""
    env: dict[str, str]
    keeper: Process
    """The process that the sandbox dies with until it is detached."""

    def dump(self) -> str:
        """The order as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def load(cls, message: dict[str, Any]) -> Order:
        """The order that `dump` wrote, as parsed from its line."""
        fields = dict(message)
        for name in ("needed", "code", "homes"):
            fields[name] = tuple(fields[name])
        fields["units"] = tuple(unit_from(unit) for unit in fields["units"])
        fields["keeper"] = Process(**fields["keeper"])
        return cls(**fields)


def unit_from(fields: dict[str, Any]) -> Unit:
    """A unit from what JSON made of it."""
    return Unit(
        **{
            **fields,
            "argv": tuple(fields["argv"]),
            "after": tuple(fields["after"]),
            "ready": Ready(fields["ready"]),
        }
    )

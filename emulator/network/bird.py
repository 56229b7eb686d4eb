"""BIRD, the routing daemon: where its files lie, and the command that runs it."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from emulator.network.errors import BirdUnavailable
from emulator.network.names import netns_path

PROGRAM = "bird"
SOCKETS = Path("/run/bird")
"""Where birdc looks for the socket when nobody says."""


def refuse_without_bird() -> None:
    """Raise BirdUnavailable unless BIRD is installed."""
    if shutil.which(PROGRAM) is None:
        raise BirdUnavailable(
            "this topology speaks BGP, and BIRD is not installed; as root: apt-get install bird2, or take "
            "another topology"
        )


@dataclass(frozen=True, slots=True)
class Bird:
    """One BIRD: that of `node/worker-1` or `router/tor`. `directory` holds all its files."""

    place: str
    directory: Path

    @property
    def unit(self) -> str:
        """Its name among the sandbox's services."""
        return "bird-" + self.place.replace("/", "-")

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that runs it, in its place's namespace and in the foreground."""
        enter = ("nsenter", f"--net={netns_path(self.place)}", "--")
        files = (
            ("-c", self.directory / "bird.conf"),
            ("-s", self.directory / "bird.ctl"),
            ("-P", self.directory / "bird.pid"),
        )
        return (*enter, PROGRAM, "-f", *(str(word) for pair in files for word in pair))

    def write(self, config: str) -> None:
        """Put a configuration in place; what runs goes on with the old one."""
        self.directory.mkdir(parents=True, exist_ok=True)
        new = self.directory / "bird.conf.new"
        new.write_text(config, encoding="ascii")
        new.rename(self.directory / "bird.conf")

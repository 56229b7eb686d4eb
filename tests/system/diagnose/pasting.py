"""What diagnose says is to be done, done as it is printed."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner

from emulator import Cluster
from emulator.api.objects import JsonObject
from emulator.cli.program import program

HEAL = "mininetes diff --heal"


def commands(diagnoses: list[JsonObject]) -> list[str]:
    """The commands that mend, each once; the one that compares everything comes last."""
    found = dict.fromkeys(
        cause["command"] for one in diagnoses for cause in one["causes"] if cause.get("command")
    )
    return sorted(found, key=lambda command: command == HEAL)


def paste(cluster: Cluster, command: str) -> None:
    """Run it as a shell would, and see it succeed."""
    code, told = run(cluster, command)
    assert code == 0, (command, told)


def run(cluster: Cluster, command: str, **options: str) -> tuple[int, str]:
    """Run it as a shell would; what is no pipe, in this process, which is quicker. Code and output."""
    environment = {"MININETES_NAME": cluster.name, **options}
    first, *words = shlex.split(command)
    if first == "mininetes":
        told = CliRunner().invoke(program, words, env=environment)
        return told.exit_code, told.output
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    shell = ["sh", "-c", command]
    done = subprocess.run(
        shell, env={**os.environ, **environment, "PATH": path}, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def is_mended(diagnosis: JsonObject) -> bool:
    """Whether commands were all that it takes."""
    return bool(diagnosis["causes"]) and all(cause.get("command") for cause in diagnosis["causes"])

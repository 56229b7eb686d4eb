"""Commands run in a sandbox."""

from __future__ import annotations

import subprocess

from emulator.sandbox import Sandbox


def run(sandbox: Sandbox, command: str) -> subprocess.CompletedProcess[str]:
    """What a shell command in the sandbox did."""
    argv = sandbox.command(["sh", "-c", command])
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


def out(sandbox: Sandbox, command: str) -> str:
    """What a shell command in the sandbox printed; it has to succeed."""
    done = run(sandbox, command)
    assert done.returncode == 0, f"{command}: {done.stderr or done.stdout}"
    return done.stdout.strip()


def add_bridge(sandbox: Sandbox, name: str) -> None:
    """Add a bridge and wait until the switch has it."""
    out(sandbox, f"ovs-vsctl --timeout=5 add-br {name} -- set bridge {name} datapath_type=netdev")

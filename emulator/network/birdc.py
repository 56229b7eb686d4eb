"""BIRD's control socket, as birdc speaks to it: a command a line, answers whose lines begin with a code."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping

from emulator.network.bird import Bird
from emulator.network.errors import NetworkError

_RECONFIGURED = ("0003", "0004", "0005", "0006")
"""Done, in progress, queued behind one in progress, or too late because it ends."""
_PATIENCE = 10.0
_STATES = ("Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established", "Passive")


async def configure(bird: Bird) -> None:
    """Make it read its file anew; sessions stay. One that does not run will read it when it starts.

    Raises NetworkError when it refuses.
    """
    try:
        async with asyncio.timeout(_PATIENCE):
            said = await _ask(bird, "configure")
    except (ConnectionError, FileNotFoundError):
        return
    except TimeoutError:
        raise NetworkError(f"BIRD of {bird.place} does not answer") from None
    if said and not said[-1].startswith(_RECONFIGURED):
        raise NetworkError(f"BIRD of {bird.place} refuses its configuration: {' '.join(said)}")


async def disabled(bird: Bird) -> frozenset[str]:
    """The sessions that somebody has disabled (`birdc disable NAME`); none of a BIRD that does not run."""
    try:
        async with asyncio.timeout(_PATIENCE):
            said = await _ask(bird, "show protocols")
    except (ConnectionError, FileNotFoundError, TimeoutError):
        return frozenset()
    rows = (line[5:].split() if line[:4].isdecimal() else line.split() for line in said)
    return frozenset(row[0] for row in rows if row[1:2] == ["BGP"] and row[3:4] == ["down"])


async def sessions(bird: Bird) -> Mapping[str, str] | None:
    """The state of each of its BGP sessions, such as `Established` or `Active`; None: it does not run."""
    try:
        async with asyncio.timeout(_PATIENCE):
            said = await _ask(bird, "show protocols")
    except (ConnectionError, FileNotFoundError, TimeoutError):
        return None
    rows = (line[5:].split() if line[:4].isdecimal() else line.split() for line in said)
    bgp = (row for row in rows if row[1:2] == ["BGP"])
    # NAME BGP TABLE STATE SINCE INFO...; how since is written is a matter of configuration.
    return {row[0]: next((word for word in row[4:] if word in _STATES), row[3]) for row in bgp}


async def write_routes_again(bird: Bird) -> None:
    """Have it bring the kernel's routes to what it has learned. It would look after them once a minute.

    Raises NetworkError when it does not answer; one that does not run has nothing to write.
    """
    try:
        async with asyncio.timeout(_PATIENCE):
            for version in (4, 6):
                await _ask(bird, f"restart kernel{version}")
    except (ConnectionError, FileNotFoundError):
        return
    except TimeoutError:
        raise NetworkError(f"BIRD of {bird.place} does not answer") from None


async def _ask(bird: Bird, command: str) -> list[str]:
    """The lines of the answer; none when it ended meanwhile."""
    descriptor = os.open(bird.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:  # a socket's address is at most 107 bytes long
        reader, writer = await asyncio.open_unix_connection(f"/proc/self/fd/{descriptor}/bird.ctl")
    finally:
        os.close(descriptor)
    try:
        await _answer(reader)
        writer.write(f"{command}\n".encode())
        return await _answer(reader)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> list[str]:
    """The lines of one answer; the last one has a blank behind its code, or is a message of its own."""
    lines: list[str] = []
    while True:
        line = (await reader.readline()).decode(errors="replace").rstrip("\n")
        if not line:
            return lines
        lines.append(line)
        if line[:4].isdecimal() and line[4:5] == " ":
            return lines

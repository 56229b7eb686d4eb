"""Installed flows against a computed program, by ovs-ofctl. What has not changed is not compared again."""

from __future__ import annotations

import asyncio
import re
import tempfile
from pathlib import Path

from controllers.pipeline.flow import FlowProgram
from emulator.api.errors import ApiError
from emulator.verdict import installed

OFCTL = ("ovs-ofctl", "-O", "OpenFlow13", "--no-names")
_AT_ONCE = 4
"""Processes that run at a time."""
_COUNTERS = re.compile(r"\b(?:duration|n_packets|n_bytes|idle_age|hard_age)=[^, ]*, ?")


class Comparer:
    """Compares, and keeps for each bridge what the latest comparison was of and what it said."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[str, FlowProgram, str]] = {}
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def differences(self, bridge: str, program: FlowProgram) -> str:
        """What `ovs-ofctl diff-flows INSTALLED COMPUTED` says. Raises ApiError when nobody answers."""
        async with self._turn:
            dump = await run(*OFCTL, "dump-flows", bridge)
            held = _COUNTERS.sub("", dump)
            known = self._known.get(bridge)
            if known is not None and known[0] == held and known[1] is program:
                return known[2]
            said = await _differences(dump, program)
            self._known[bridge] = (held, program, said)
            return said


async def _differences(dump: str, program: FlowProgram) -> str:
    with tempfile.TemporaryDirectory() as folder:
        held, wanted = await asyncio.to_thread(_write, Path(folder), dump, program)
        # 2 says that they differ.
        return await run(*OFCTL, "diff-flows", held, wanted, fine=(0, 2))


def _write(folder: Path, dump: str, program: FlowProgram) -> tuple[str, str]:
    held, wanted = folder / "installed", folder / "computed"
    held.write_text(installed.installed_text(dump, program))
    wanted.write_text(installed.computed_text(program))
    return str(held), str(wanted)


async def run(*argv: str, fine: tuple[int, ...] = (0,)) -> str:
    """A command's output. Raises ApiError when it fails."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, problem = await process.communicate()
    if process.returncode not in fine:
        raise ApiError(503, "ServiceUnavailable", f"{argv[0]}: {problem.decode().strip()}")
    return out.decode()

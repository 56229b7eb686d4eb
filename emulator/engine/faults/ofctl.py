"""Speaks to bridges as somebody else than the controller."""

from __future__ import annotations

import asyncio

from emulator.api.errors import ApiError

_OFCTL = ("ovs-ofctl", "-O", "OpenFlow13", "--no-names")


async def ofctl(*words: str) -> str:
    """What ovs-ofctl(8) prints. Raises ApiError with what it complains of."""
    process = await asyncio.create_subprocess_exec(
        *_OFCTL, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, problem = await process.communicate()
    if process.returncode:
        raise ApiError(503, "ServiceUnavailable", f"ovs-ofctl: {problem.decode().strip()}")
    return out.decode()

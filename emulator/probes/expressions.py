"""Filters in tcpdump's words (`udp port 4789`), compiled by tcpdump itself."""

from __future__ import annotations

import asyncio
import shlex

from emulator.probes.bpf import Program, Step
from emulator.probes.request import RequestError

_ETHERNET = "EN10MB"
_JUMP_CLASS, _JUMP_ALWAYS = 0x05, 0x05


async def compiled(expression: str) -> Program:
    """The program that accepts what `expression` describes, on interfaces with Ethernet headers.

    Raises RequestError with tcpdump's complaint.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            "tcpdump", "-ddd", "-y", _ETHERNET, "--", *shlex.split(expression),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
    except FileNotFoundError:
        raise RequestError("filters are compiled by tcpdump, which is not installed") from None
    except ValueError as error:
        raise RequestError(f"{expression!r}: {error}") from None
    listing, complaint = await process.communicate()
    if process.returncode:
        said = complaint.decode(errors="replace").strip().splitlines()
        raise RequestError(
            f"{expression!r}: {said[-1].removeprefix('tcpdump: ') if said else 'not a filter'}"
        )
    return parsed(listing.decode())


def parsed(listing: str) -> Program:
    """The program in the output of `tcpdump -ddd`: a count, then `code jt jf k` a line."""
    rows = [[int(word) for word in line.split()] for line in listing.splitlines()[1:]]
    return tuple(_step(index, *row) for index, row in enumerate(rows))


def _step(index: int, code: int, jump_true: int, jump_false: int, k: int) -> Step:
    """Labels are the places themselves."""
    if code == _JUMP_ALWAYS:
        return Step(code, 0, then=str(index + 1 + k), label=str(index))
    if code & 0x07 == _JUMP_CLASS:
        then, otherwise = str(index + 1 + jump_true), str(index + 1 + jump_false)
        return Step(code, k, then, otherwise, label=str(index))
    return Step(code, k, label=str(index))

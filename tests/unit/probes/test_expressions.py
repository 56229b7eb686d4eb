from __future__ import annotations

import asyncio
import shutil
import struct

import pytest

from emulator.probes.bpf import assemble
from emulator.probes.expressions import compiled, parsed
from emulator.probes.request import RequestError

LISTING = """4
40 0 0 12
21 0 1 2054
6 0 0 262144
6 0 0 0
"""


def test_a_listing_reads_back_as_it_was_compiled() -> None:
    code = assemble(parsed(LISTING))
    assert [struct.unpack("=HBBI", code[at : at + 8]) for at in range(0, len(code), 8)] == [
        (40, 0, 0, 12),
        (21, 0, 1, 2054),
        (6, 0, 0, 262144),
        (6, 0, 0, 0),
    ]


def test_jumps_keep_their_distance() -> None:
    code = assemble(parsed("3\n5 0 0 1\n6 0 0 0\n6 0 0 1\n"))
    assert struct.unpack("=HBBI", code[:8]) == (5, 0, 0, 1)


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="tcpdump compiles filters")
def test_tcpdump_compiles_and_complains() -> None:
    assert len(asyncio.run(compiled("udp port 4789"))) > 5
    with pytest.raises(RequestError, match="syntax error"):
        asyncio.run(compiled("udp prot 4789"))

from __future__ import annotations

import io
from pathlib import Path

from scapy.utils import PcapNgReader

from emulator.probes.capture import Direction, Record
from emulator.probes.pcapng import PcapngWriter

from .by_hand import frame, ipv4, tcp

STAMP = 1_700_000_000_123_456_789


def test_scapy_reads_back_what_was_written(tmp_path: Path) -> None:
    packet = frame(ipv4(6, tcp()))
    file = tmp_path / "c.pcapng"
    with file.open("wb") as stream:
        writer = PcapngWriter(stream.write, comment="a run")
        writer.add(Record("shop/web", "eth0", Direction.OUT, STAMP, packet), comment="the first")
        writer.add(Record("n1-up", "n1-up", Direction.IN, STAMP + 1, packet[:40], length=len(packet)))
    with PcapNgReader(str(file)) as reader:
        first, second = list(reader)
    assert bytes(first) == packet
    assert int(first.time * 1_000_000_000) == STAMP
    assert first.sniffed_on == "shop/web eth0"
    assert second.sniffed_on == "n1-up"
    assert second.wirelen == len(packet)


def test_the_header_is_written_at_once() -> None:
    stream = io.BytesIO()
    PcapngWriter(stream.write)
    assert stream.getvalue()[:4] == bytes.fromhex("0a0d0d0a")
    assert len(stream.getvalue()) % 4 == 0


def test_tunnel_interfaces_are_raw_ip(tmp_path: Path) -> None:
    file = tmp_path / "t.pcapng"
    with file.open("wb") as stream:
        PcapngWriter(stream.write).add(
            Record("x", "tun0", Direction.IN, STAMP, ipv4(6, tcp()), hardware=0xFFFE)
        )
    with PcapNgReader(str(file)) as reader:
        (packet,) = list(reader)
    assert packet.haslayer("TCP")

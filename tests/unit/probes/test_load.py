"""Loads: what streams may be, how requests are told, and that they go on while some hang."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from ipaddress import ip_address
from typing import Any

import pytest

from emulator.cluster.outcome import Outcome
from emulator.probes.load import Load, Report, Request, Stream
from emulator.probes.request import Protocol, RequestError


def stream(port: int = 80, protocol: Protocol = Protocol.TCP, **more: Any) -> Stream:
    fields = {"source": "here", "netns": None, "target": "there", "address": ip_address("127.0.0.1")}
    return Stream(**{**fields, "port": port, "protocol": protocol, "rate": 50.0, **more})


@pytest.mark.parametrize(
    "wrong",
    [{"rate": 0.0}, {"rate": 501.0}, {"protocol": Protocol.ICMP}, {"protocol": Protocol.UDP, "path": "/"}],
)
def test_streams_that_make_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(RequestError):
        stream(**wrong)


def test_a_report_counts_and_names_what_was_lost() -> None:
    requests = (
        Request(0, 10.0, 10.1, Outcome.CONNECTED, "web-1", 1),
        Request(0, 11.0, 11.3, Outcome.CONNECTED, "web-2", 2),
        Request(1, 12.0, 15.0, Outcome.DROPPED, "no answer within 3 s", 3),
    )
    report = Report((stream(), stream(81, Protocol.UDP)), requests).as_json(records=True)
    assert report["sent"] == 3
    assert report["outcomes"] == {"connected": 2, "dropped": 1}
    assert report["answers"] == {"web-1": 1, "web-2": 1}
    assert report["milliseconds"] == {"p50": 300.0, "p90": 300.0, "max": 300.0}
    assert [one["sourcePort"] for one in report["lost"]] == [3]
    assert [one["sent"] for one in report["streams"]] == [2, 1]
    assert report["requests"][2] == [1, 12.0, 15.0, "dropped", "no answer within 3 s", 3]
    assert "requests" not in Report((), requests).as_json()


class Answering(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(b"me: " + data, addr)


async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nme\nand more\n")
    await writer.drain()
    writer.close()


def test_requests_go_on_whatever_became_of_those_before() -> None:
    async def play() -> Report:
        loop, never = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(greet, "127.0.0.1", 0)
        mute = await asyncio.start_server(lambda *_: never.wait(), "127.0.0.1", 0)
        udp, _ = await loop.create_datagram_endpoint(Answering, ("127.0.0.1", 0))
        ports = [one.sockets[0].getsockname()[1] for one in (server, mute)]
        load = Load(
            [
                stream(ports[0], path="/hostname"),
                stream(ports[1], path="/", timeout=0.2),
                stream(udp.get_extra_info("sockname")[1], Protocol.UDP),
                stream(1, rate=10.0),
            ]
        )
        load.start()
        with suppress(TimeoutError):
            await asyncio.wait_for(never.wait(), 0.3)
        report = await load.stop()
        server.close()
        mute.close()
        udp.close()
        return report

    streams = asyncio.run(play()).as_json()["streams"]
    assert all(one["sent"] > 1 for one in streams)
    assert [list(one["outcomes"]) for one in streams] == [
        ["connected"],
        ["dropped"],
        ["connected"],
        ["rejected"],
    ]
    assert list(streams[0]["answers"]) == ["me"]
    assert list(streams[2]["answers"]) == ["me: hostname"]

"""Three network namespaces to probe in: a client, a router and a server; run inside `unshare`.

Reads one JSON request a line and answers each with one JSON line. Behind the router, 10.0.7.0/24 is
prohibited, 10.0.8.0/24 unreachable and 10.0.9.0/24 a black hole, and so are fd00:7::/64 to fd00:9::/64.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from emulator.cluster.places import parse_port
from emulator.probes.checks import check_of
from emulator.probes.netns import within
from emulator.probes.probe import probe
from emulator.probes.request import Protocol, Site, Sites, Target, request_of
from emulator.probes.workshop import Workshop

RUN = Path("/run/netns")
SITES = Sites(
    {
        **{name: Site(name, RUN / name, "eth0") for name in ("client", "server")},
        "router-in": Site("router-in", RUN / "router", "to-client"),
        "router-out": Site("router-out", RUN / "router", "to-server"),
        "router": Site("router", RUN / "router"),
        "gone": Site("gone", RUN / "gone"),
    }
)
SETUP = """
link add name eth0 netns client type veth peer name to-client netns router
link add name eth0 netns server type veth peer name to-server netns router
-n client address add 10.0.1.2/24 dev eth0
-n client address add fd00:1::2/64 dev eth0 nodad
-n router address add 10.0.1.1/24 dev to-client
-n router address add fd00:1::1/64 dev to-client nodad
-n router address add 10.0.2.1/24 dev to-server
-n router address add fd00:2::1/64 dev to-server nodad
-n server address add 10.0.2.2/24 dev eth0
-n server address add fd00:2::2/64 dev eth0 nodad
-n client link set eth0 up
-n client link set lo up
-n router link set to-client up
-n router link set to-server up
-n server link set eth0 up
-n server link set lo up
-n client route add default via 10.0.1.1
-n client route add default via fd00:1::1
-n server route add default via 10.0.2.1
-n server route add default via fd00:2::1
-n router route add prohibit 10.0.7.0/24
-n router route add unreachable 10.0.8.0/24
-n router route add blackhole 10.0.9.0/24
-n router route add prohibit fd00:7::/64
-n router route add unreachable fd00:8::/64
-n router route add blackhole fd00:9::/64
"""
SYSCTLS = (
    "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.forwarding=1",
    "net.ipv4.icmp_ratelimit=0",
    "net.ipv6.icmp.ratelimit=0",
    "net.ipv6.conf.all.accept_dad=0",
    "net.ipv6.conf.default.accept_dad=0",
)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def build() -> None:
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "none", "/run"], check=True)
    for name in ("client", "router", "server"):
        ip("netns", "add", name)
        ip("netns", "exec", name, "sysctl", "-q", "-w", *SYSCTLS)
    for line in SETUP.strip().splitlines():
        ip(*line.split())


def bound(family: socket.AddressFamily, kind: socket.SocketKind, port: int) -> socket.socket:
    sock = socket.socket(family, kind)
    if family is socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind(("", port))
    sock.setblocking(False)
    return sock


async def answer_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while head := [line async for line in request_lines(reader)]:
        if head[0].startswith(b"GET /silent"):
            await reader.read()
            break
        host = next(line for line in head if line.startswith(b"Host: "))
        if head[0].startswith(b"GET /old"):
            writer.write(b"HTTP/1.0 200 OK\r\n\r\nold")
            break
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"%x\r\n%s\r\n0\r\n\r\n" % (len(host), host))
        if head[0].startswith(b"GET /once") or b"Connection: close" in head:
            break
    writer.close()


async def request_lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while line := (await reader.readline()).strip():
        yield line


class UdpEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        self.transport.sendto(data, addr)


async def serve(netns: str) -> None:
    loop = asyncio.get_running_loop()
    for family in (socket.AF_INET, socket.AF_INET6):
        make = partial(partial, bound, family)
        http = await within(RUN / netns, make(socket.SOCK_STREAM, 8080))
        await asyncio.start_server(answer_http, sock=http)
        echo = await within(RUN / netns, make(socket.SOCK_DGRAM, 9000))
        await loop.create_datagram_endpoint(UdpEcho, sock=echo)
        sink = await within(RUN / netns, make(socket.SOCK_DGRAM, 9001))
        await loop.create_datagram_endpoint(asyncio.DatagramProtocol, sock=sink)


async def answer(body: dict[str, Any], workshop: Workshop | None = None) -> dict[str, Any]:
    asked = parse_port(body.get("port", "icmp"))
    addresses = tuple(ip_address(text) for text in body["addresses"])
    target = Target(
        body.get("to", "target"), addresses, asked.number or None, tuple(body.get("candidates", ()))
    )
    request = request_of(body, body["from"], target, Protocol(asked.protocol))
    checks = [check_of(check) for check in body.get("checks", ())]
    observation = await probe(request, SITES, workshop, checks)
    return observation.as_json()


async def main() -> None:
    build()
    await serve("server")
    await serve("client")
    for address in ("10.0.2.2", "fd00:2::2"):  # IPv6 takes up to a second after the links are up
        await answer({"from": "client", "addresses": [address], "port": "8080/tcp", "timeout": 10})
    loop, workshop = asyncio.get_running_loop(), Workshop()
    await workshop.start()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        try:
            reply = await answer(json.loads(line), workshop)
        except Exception as error:
            reply = {"exception": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), flush=True)
    await workshop.close()


if __name__ == "__main__":
    asyncio.run(main())

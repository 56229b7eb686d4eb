"""Asks at once who reaches whom; runs inside a sandbox, as one process with sockets in every pod.

Reads a JSON request a line and answers each with a JSON line. The first one names the pods:
`{"x/a": {"netns": path, "4": address, "6": address}}`. `{"warm": true}` opens a channel between every two
pods, which has to be allowed; `{"protocol": "tcp", "ports": [80, 81]}` probes, and tells who was reached.

No verdict waits for time to pass. What has not arrived when later datagrams of the channels have come back
does not arrive: connections that are known are not judged by policies, and wires keep the order of packets.
SCTP is raw packets.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import socket
import struct
import sys
from collections.abc import Iterable, Iterator
from typing import Any

NEWNET = 0x40000000
CHANNEL, CHANNEL_CLIENT = 7777, 7778
SERVED = (80, 81)
PATIENCE = 30
"""Seconds until a channel counts as broken."""
SCTP = 132
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}
RESET = struct.pack("ii", 1, 0)

Reached = tuple[str, str, int, int]
"""Source, destination, family, port."""
Stream = socket.SOCK_STREAM
Datagram = socket.SOCK_DGRAM

libc = ctypes.CDLL(None, use_errno=True)


class Pod:
    """One pod's sockets."""

    def __init__(self, name: str, given: dict[str, Any]) -> None:
        self.name = name
        self.netns = os.open(given["netns"], os.O_RDONLY)
        self.addresses = {family: given[str(family)] for family in FAMILIES}
        self.next_port = 20_000
        self.servers: dict[tuple[str, int, int], socket.socket] = {}
        for family in FAMILIES:
            for port in SERVED:
                self.servers["tcp", family, port] = self.bound(family, Stream, port)
                self.servers["tcp", family, port].listen(256)
                self.servers["udp", family, port] = self.bound(family, Datagram, port)
            self.servers["channel", family, 0] = self.bound(family, Datagram, CHANNEL)
            self.servers["client", family, 0] = self.bound(family, Datagram, CHANNEL_CLIENT)
            self.servers["sctp", family, 0] = self.opened(family, socket.SOCK_RAW, SCTP)

    def opened(self, family: int, kind: int, protocol: int = 0) -> socket.socket:
        """A socket in the pod."""
        if libc.setns(self.netns, NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        made = socket.socket(FAMILIES[family], kind, protocol)
        made.setblocking(False)
        return made

    def bound(self, family: int, kind: int, port: int) -> socket.socket:
        """A socket at a port of the pod's address."""
        made = self.opened(family, kind)
        made.bind((self.addresses[family], port))
        return made

    def fresh_port(self) -> int:
        """A port that nothing was sent from before: no connection of it is known."""
        self.next_port += 1
        return self.next_port


class Prober:
    """All pods, and what is under way."""

    def __init__(self, pods: dict[str, Any]) -> None:
        self.pods = [Pod(name, given) for name, given in pods.items()]
        self.names = {pod.addresses[family]: pod.name for pod in self.pods for family in FAMILIES}
        self.epoll = select.epoll()
        self.handlers: dict[int, Any] = {}
        self.reached: set[Reached] = set()
        self.accepted: list[socket.socket] = []
        self.token = 0
        self.echoed: set[tuple[str, str, int]] = set()
        for pod in self.pods:
            for (kind, family, port), server in pod.servers.items():
                self.watch(server, (kind, pod, family, port, server))

    def watch(self, own: socket.socket, handler: Any, events: int = select.EPOLLIN) -> None:
        self.handlers[own.fileno()] = handler
        self.epoll.register(own.fileno(), events)

    def pairs(self) -> Iterator[tuple[Pod, Pod, int]]:
        for one in self.pods:
            for other in self.pods:
                if one is not other:
                    yield from ((one, other, family) for family in FAMILIES)

    def channels(self) -> None:
        """Return when an echo has come back over every channel of what is sent now."""
        self.token += 1
        self.echoed.clear()
        for one, other, family in self.pairs():
            client = one.servers["client", family, 0]
            client.sendto(str(self.token).encode(), (other.addresses[family], CHANNEL))
        wanted = sum(1 for _ in self.pairs())
        while len(self.echoed) < wanted:
            if not self.poll(PATIENCE):
                missing = sorted({(a.name, b.name, family) for a, b, family in self.pairs()} - self.echoed)
                raise TimeoutError(f"channels are broken: {missing}")

    def poll(self, seconds: float) -> bool:
        events = self.epoll.poll(seconds)
        for number, _ in events:
            if number in self.handlers:
                self.handle(*self.handlers[number])
        return bool(events)

    def handle(self, kind: str, pod: Pod, family: int, port: int, own: Any) -> None:
        match kind:
            case "tcp":
                # Reset at once, it would look like a refusal to a client that is slow to look.
                self.accepted.append(own.accept()[0])
            case "udp":
                data, peer = own.recvfrom(64)
                own.sendto(data, peer)
            case "channel":
                data, peer = own.recvfrom(64)
                own.sendto(data, peer)
            case "client":
                data, peer = own.recvfrom(64)
                if data == str(self.token).encode():
                    self.echoed.add((pod.name, self.names[peer[0]], family))
            case "sctp":
                data, peer = own.recvfrom(256)
                header = data[(data[0] & 15) * 4 :] if family == 4 else data
                self.reached.add(
                    (self.names[peer[0]], pod.name, family, struct.unpack_from("!H", header, 2)[0])
                )
            case "asked":
                client, target = own
                self.answered(client, (pod.name, target, family, port))

    def answered(self, client: socket.socket, way: Reached) -> None:
        """A client's socket has news: a connection, an answer, or an error."""
        self.epoll.unregister(client.fileno())
        if client.type == Stream:
            open_ = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        else:
            open_ = _received(client)
        if open_:
            self.reached.add(way)

    def sweep(self, protocol: str, ports: Iterable[int]) -> list[Reached]:
        self.reached.clear()
        clients: list[socket.socket] = []
        for one, other, family in self.pairs():
            for port in ports:
                if protocol == "sctp":
                    _init(one, other.addresses[family], family, port)
                else:
                    clients.append(self.ask(protocol, one, other, family, port))
        self.channels()
        self.channels()
        while self.poll(0):
            pass
        for own in (*clients, *self.accepted):
            self.handlers.pop(own.fileno(), None)
            if own.type == Stream:
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            own.close()
        self.accepted.clear()
        return sorted(self.reached)

    def ask(self, protocol: str, one: Pod, other: Pod, family: int, port: int) -> socket.socket:
        client = one.bound(family, Stream if protocol == "tcp" else Datagram, one.fresh_port())
        if protocol == "tcp":
            client.connect_ex((other.addresses[family], port))
        else:
            client.connect((other.addresses[family], port))
            client.send(b"?")
        ready = select.EPOLLOUT if protocol == "tcp" else select.EPOLLIN
        self.watch(client, ("asked", one, family, port, (client, other.name)), ready)
        return client


def _received(client: socket.socket) -> bool:
    try:
        return bool(client.recv(64))
    except OSError:
        return False


def _init(one: Pod, address: str, family: int, port: int) -> None:
    """An SCTP INIT (RFC 9260, 3.3.2); nobody looks at its checksum."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 1, 65_536, 1, 1, 1)
    packet = struct.pack("!HHII", one.fresh_port(), port, 0, 0) + chunk
    one.servers["sctp", family, 0].sendto(packet, (address, 0))


def main() -> None:
    """Serve requests until standard input ends."""
    prober = Prober(json.loads(sys.stdin.readline()))
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if "warm" in request:
                prober.channels()
                answer: Any = []
            else:
                answer = prober.sweep(request["protocol"], request["ports"])
        except (OSError, TimeoutError) as error:
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

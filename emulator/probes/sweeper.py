"""Thousands of probes a second: sockets in many network namespaces, one selector, one thread.

`markers` says how a drop is known before its time is up.
"""

from __future__ import annotations

import errno
import selectors
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from ipaddress import ip_address
from os import strerror, urandom

from emulator.probes import bpf
from emulator.probes.capture import losses, packet_socket
from emulator.probes.glimpse import (
    MARK,
    glimpse,
    sctp_init,
)
from emulator.probes.listeners import listens_on
from emulator.probes.markers import PATIENCE, Markers
from emulator.probes.netns import inside, within
from emulator.probes.reactor import Reactor
from emulator.probes.sightings import Shot, Watch, note
from emulator.probes.swept import (
    Ask,
    End,
    Evidence,
    Transport,
    Verdict,
    judge,
    spread,
)

_BURST = 192
"""Probes under way at once: no queue on the way, which hold 200 small packets or more, can overflow."""
_FEW = 8
"""Of those that a server did not get round to."""
_SNAP = 128
_BREATH = 0.004
"""Seconds that answers are given before markers are sent."""
_LOOPBACK_PROOF = b"mininetes sweep "
_SOON = 0.05
"""Seconds that a burst waits for slow answers before the next one goes out."""
_MOST_KEPT = 512
"""Sockets of dropped connections that stay open to the end, in case that something arrives after all."""
_OUTGOING, _ETHERNET, _LOOPBACK = 4, 1, 772
_PROTOCOLS = {Transport.TCP: bpf.TCP, Transport.UDP: bpf.UDP, Transport.SCTP: bpf.SCTP}
_REFUSED = {errno.ECONNREFUSED, errno.ECONNRESET}


async def sweep(ends: Iterable[End], asks: Sequence[Ask], timeout: float) -> list[Verdict]:
    """One verdict an ask, in their order. Raises OSError when an end cannot be watched."""
    return await within(None, partial(sweep_here, tuple(ends), asks, timeout))


def sweep_here(ends: Sequence[End], asks: Sequence[Ask], timeout: float) -> list[Verdict]:
    """The same, in this thread, which must be one's own: it visits network namespaces."""
    sweeper = _Sweeper(ends)
    try:
        sweeper.arm()
        return sweeper.run(asks, timeout)
    finally:
        sweeper.close()


class _Sweeper:
    def __init__(self, ends: Sequence[End]) -> None:
        self._ends = ends
        self._watches: dict[str, Watch] = {}
        self._reactor = Reactor()
        self._markers = Markers(self._reactor, self._watches)
        self._raw: dict[tuple[str, int], socket.socket] = {}
        self._served: dict[tuple[str, str, int], bool] = {}
        self._mark = urandom(8)
        self._number = int.from_bytes(urandom(3), "big")
        """Of the last probe. Random at first: a tuple used before may still be tracked."""
        self._has_sctp = _has_sctp()

    def arm(self) -> None:
        """Watch every end, and prove it: what each sends to itself must be seen. Raises OSError."""
        for end in self._ends:
            with inside(end.netns):
                tap = packet_socket("", bpf.first_packets(_SNAP))
                watch = self._watches[end.place] = Watch(end, tap)
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as proof:
                    proof.sendto(_LOOPBACK_PROOF, ("127.0.0.1", 9))
            self._reactor.selector.register(tap, selectors.EVENT_READ, partial(self._read, watch))
        self._reactor.pump(lambda: all(watch.proven for watch in self._watches.values()), PATIENCE)

    def run(self, asks: Sequence[Ask], timeout: float) -> list[Verdict]:
        """Probe in bursts; those without a verdict after theirs are waited for at the end, together.

        What seems dropped is sent a second time, as a SYN would be: one packet may be lost by chance. What
        arrived and was not answered is asked again, few at a time: a busy server's queue may have been full.
        """
        shots: dict[int, Shot] = {}
        order = spread(asks)
        self._in_bursts(asks, order, shots)
        self._in_bursts(asks, [number for number in order if self._is_early(shots[number])], shots)
        deadline = time.monotonic() + timeout
        self._reactor.drain()
        self._reactor.pump(self._settled(shots.values()), max(0.0, deadline - time.monotonic()))
        self._ask_again(
            asks, [number for number in order if self._is_unanswered(shots[number])], shots, timeout
        )
        self._count_losses()
        return [self._at_last(shots[number]) for number in range(len(asks))]

    def _ask_again(
        self, asks: Sequence[Ask], numbers: Sequence[int], shots: dict[int, Shot], timeout: float
    ) -> None:
        if numbers:
            self._in_bursts(asks, numbers, shots, _FEW)
            self._reactor.pump(self._settled([shots[number] for number in numbers]), timeout)

    def _is_unanswered(self, shot: Shot) -> bool:
        arrived = (_PROTOCOLS[shot.ask.transport], shot.token) in self._watches[shot.ask.target].arrived
        return arrived and self._judge(shot) is None

    def _in_bursts(
        self, asks: Sequence[Ask], order: Sequence[int], shots: dict[int, Shot], size: int = _BURST
    ) -> None:
        for first in range(0, len(order), size):
            numbers = order[first : first + size]
            burst = self._launch([asks[number] for number in numbers])
            shots |= zip(numbers, burst, strict=True)
            self._watch_burst(burst)
            kept = sum(shot.sock is not None for shot in shots.values())
            for shot in burst:
                if self._judge(shot) is not None and (kept > _MOST_KEPT or shot.ask.transport != "tcp"):
                    self._hang_up(shot)

    def _is_early(self, shot: Shot) -> bool:
        verdict = self._judge(shot)
        return verdict is not None and verdict.early

    def _at_last(self, shot: Shot) -> Verdict:
        verdict = self._judge(shot) or self._judge(shot, over=True)
        assert verdict is not None
        return verdict

    def _settled(self, shots: Iterable[Shot]) -> Callable[[], bool]:
        """Whether all of them have a verdict, each time it is asked."""
        waiting = list(shots)

        def settled() -> bool:
            while waiting and self._judge(waiting[-1]) is not None:
                waiting.pop()
            return not waiting

        return settled

    def close(self) -> None:
        """Close all sockets; those of captures behind the caller's back, since the kernel takes its time."""
        self._reactor.selector.close()
        for watch in self._watches.values():
            for shot in watch.shots.values():
                if shot.sock is not None:
                    shot.sock.close()
        for sock in self._raw.values():
            sock.close()
        self._markers.close()
        for watch in self._watches.values():
            threading.Thread(target=watch.tap.close, name="close-tap", daemon=True).start()

    # -- sending -----------------------------------------------------------------------------------

    def _launch(self, asks: Sequence[Ask]) -> list[Shot]:
        shots = [self._aim(ask) for ask in asks]
        by_source: defaultdict[str, list[Shot]] = defaultdict(list)
        for shot in shots:
            by_source[shot.ask.source].append(shot)
        for place, own in by_source.items():
            watch = self._watches[place]
            with inside(watch.end.netns):
                for shot in own:
                    if not shot.failed:
                        self._fire(watch, shot)
        return shots

    def _aim(self, ask: Ask) -> Shot:
        self._number += 1
        token = self._mark + self._number.to_bytes(MARK - len(self._mark), "big")
        address = self._watches[ask.target].end.address(ask.version)
        own = self._watches[ask.source].end.address(ask.version)
        shot = Shot(ask, str(address), token)
        for place, found in ((ask.source, own), (ask.target, address)):
            if found is None:
                shot.failed = f"{place} has no IPv{ask.version} address"
        return shot

    def _fire(self, watch: Watch, shot: Shot) -> None:
        family = socket.AF_INET if shot.ask.version == 4 else socket.AF_INET6
        try:
            match shot.ask.transport:
                case Transport.SCTP:
                    self._fire_sctp(watch, shot)
                    return
                case Transport.UDP:
                    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
                    shot.sock = sock
                    sock.connect((shot.address, shot.ask.port))
                    self._expect(watch, shot, sock, selectors.EVENT_READ)
                    sock.send(shot.token)
                case Transport.TCP:
                    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
                    shot.sock = sock
                    code = sock.connect_ex((shot.address, shot.ask.port))
                    if code not in (0, errno.EINPROGRESS):
                        raise OSError(code, strerror(code))
                    self._expect(watch, shot, sock, selectors.EVENT_WRITE)
        except OSError as error:
            self._broken(shot, error.errno or 0)

    def _fire_sctp(self, watch: Watch, shot: Shot) -> None:
        raw = self._raw_socket((watch.end.place, bpf.SCTP), shot.ask.version, bpf.SCTP)
        shot.port = 32768 + self._number_of(shot) % 28000
        shot.token = (self._number_of(shot) + 1).to_bytes(4, "big")
        self._book(watch, shot)
        raw.sendto(sctp_init(shot.port, shot.ask.port, shot.token), (shot.address, 0))

    @staticmethod
    def _number_of(shot: Shot) -> int:
        return int.from_bytes(shot.token[8:], "big")

    def _expect(self, watch: Watch, shot: Shot, sock: socket.socket, events: int) -> None:
        shot.port = sock.getsockname()[1]
        self._book(watch, shot)
        self._reactor.selector.register(sock, events, partial(self._answer, shot, sock))

    @staticmethod
    def _book(watch: Watch, shot: Shot) -> None:
        remote = (ip_address(shot.address).packed, shot.ask.port)
        watch.shots[_PROTOCOLS[shot.ask.transport], shot.port, remote] = shot

    def _raw_socket(self, key: tuple[str, int], version: int, protocol: int) -> socket.socket:
        """A raw socket made in the namespace that this thread is in, kept under `key` and the family."""
        known = (f"{key[0]}/{version}", key[1])
        if known not in self._raw:
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            self._raw[known] = socket.socket(family, socket.SOCK_RAW | socket.SOCK_NONBLOCK, protocol)
        return self._raw[known]

    def _hang_up(self, shot: Shot) -> None:
        if shot.sock is not None:
            if shot.sock.fileno() in self._reactor.selector.get_map():
                self._reactor.selector.unregister(shot.sock)
            shot.sock.close()
            shot.sock = None

    # -- listening ---------------------------------------------------------------------------------

    def _watch_burst(self, shots: Sequence[Shot]) -> None:
        """Listen for answers; then find out what cannot be answered any more."""

        def gone() -> bool:
            return all(shot.left or shot.failed or shot.answered for shot in shots)

        settled = self._settled(shots)
        self._reactor.pump(gone, _SOON)
        self._reactor.pump(settled, _BREATH)
        if not settled():
            self._markers.follow([shot for shot in shots if self._judge(shot) is None and shot.left])
            self._count_losses()
            self._reactor.pump(settled, _SOON)

    def _count_losses(self) -> None:
        """A capture that has lost packets proves no drop any more."""
        for watch in self._watches.values():
            watch.lost += losses(watch.tap)

    def _read(self, watch: Watch) -> None:
        while True:
            try:
                frame, address = watch.tap.recvfrom(_SNAP)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:  # the interface or its namespace went away: nothing more will come
                self._reactor.selector.unregister(watch.tap)
                return
            _, _, kind, hardware, _ = address
            if hardware == _LOOPBACK and _LOOPBACK_PROOF in frame:
                watch.proven = True
            elif hardware in (_ETHERNET, _LOOPBACK):
                seen = glimpse(frame)
                if seen is not None:
                    note(watch, seen, is_outgoing=kind == _OUTGOING)

    def _answer(self, shot: Shot, sock: socket.socket) -> None:
        self._reactor.selector.unregister(sock)
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._broken(shot, code)
            return
        shot.answered = True
        if shot.ask.transport is Transport.TCP:
            sock.close()
            shot.sock = None

    @staticmethod
    def _broken(shot: Shot, code: int) -> None:
        if code in _REFUSED:
            shot.refused = True
        else:
            shot.failed = strerror(code)

    def _judge(self, shot: Shot, *, over: bool = False) -> Verdict | None:
        target = self._watches[shot.ask.target]
        arrived = (_PROTOCOLS[shot.ask.transport], shot.token) in target.arrived
        return judge(
            Evidence(
                shot.failed,
                shot.answered,
                shot.refused,
                shot.left,
                arrived,
                self._is_served(shot, target) if arrived else None,
                shot.passed,
                target.sees_all,
                over,
            )
        )

    def _is_served(self, shot: Shot, target: Watch) -> bool | None:
        """Whether what has arrived is taken by a socket; None where an answer will tell."""
        match shot.ask.transport:
            case Transport.TCP:
                return None
            case Transport.SCTP:
                return None if self._has_sctp else True
        key = (shot.ask.target, shot.address, shot.ask.port)
        if key not in self._served:
            with inside(target.end.netns):
                self._served[key] = listens_on(shot.address, shot.ask.port)
        return self._served[key]


def _has_sctp() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        return False
    return True

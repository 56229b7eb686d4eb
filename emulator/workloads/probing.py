"""Probes and hooks: asking a container over HTTP, over TCP or by a command whether it is well."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from emulator.api.objects import JsonObject
from emulator.workloads.servers.serving import inside

_LARGEST_ANSWER = 10 * 1024
_FIRST_RETRY = 0.05
_LISTEN = "0A"
_HEALTHY = range(200, 400)


class ProbeError(Exception):
    """The container did not pass; the message is kubelet's."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """When a probe runs and what its results mean. All times are in seconds."""

    initial_delay: float
    period: float
    timeout: float
    successes: int
    failures: int

    @classmethod
    def of(cls, probe: JsonObject) -> Schedule:
        """A probe's schedule, with the API server's defaults."""
        return cls(
            initial_delay=float(probe.get("initialDelaySeconds") or 0),
            period=float(probe.get("periodSeconds") or 10),
            timeout=float(probe.get("timeoutSeconds") or 1),
            successes=probe.get("successThreshold") or 1,
            failures=probe.get("failureThreshold") or 3,
        )


@dataclass(frozen=True, slots=True)
class Target:
    """What a probe or hook may need to reach its container."""

    netns: Path
    """Of the node, where kubelet is."""
    address: str
    ports: Mapping[str, int]
    """The container's named ports."""
    run: Callable[[tuple[str, ...]], Awaitable[tuple[int, bytes]]]


async def attempt(action: JsonObject, target: Target, timeout: float) -> None:
    """Carry out a probe's or hook's action once. Raises ProbeError when it fails."""
    try:
        async with asyncio.timeout(timeout):
            if "exec" in action:
                await _by_command(action["exec"], target)
            elif "httpGet" in action:
                await _by_http(action["httpGet"], target)
            elif "tcpSocket" in action:
                await _by_connection(action["tcpSocket"], target)
    except TimeoutError:
        raise ProbeError(f"command or connection timed out after {timeout:g}s") from None
    except OSError as error:
        raise ProbeError(f"dial tcp: {(error.strerror or str(error)).lower()}") from error


async def watch(
    schedule: Schedule, try_once: Callable[[], Awaitable[None]], tell: Callable[[bool, str], None]
) -> None:
    """Probe for ever and `tell` each verdict: (passes, message).

    Until the first success there are more attempts than the period asks for, so that a pod gets ready
    as soon as it answers; failures count only at the times when kubelet would have probed.
    """
    loop = asyncio.get_running_loop()
    await _pause(schedule.initial_delay)
    due, retry, seen = loop.time(), _FIRST_RETRY, False
    successes = failures = 0
    while True:
        counts = loop.time() >= due
        if counts:
            due += schedule.period
        try:
            await try_once()
        except ProbeError as error:
            successes = 0
            failures += counts
            if failures >= schedule.failures:
                tell(False, str(error))
        else:
            seen, failures = True, 0
            successes += 1
            if successes >= schedule.successes:
                tell(True, "")
        left = max(0.0, due - loop.time())
        await _pause(left if seen else min(left, retry))
        retry *= 2


async def until_listening(pid: int, ports: Collection[int], limit: float) -> None:
    """Wait until all TCP `ports` are listened on in a process' network namespace, or `limit` seconds."""
    retry = _FIRST_RETRY / 2
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(limit):
            while not _listening(pid).issuperset(ports):
                await _pause(retry)
                retry *= 2


def _listening(pid: int) -> set[int]:
    """TCP ports with a listener. Raises OSError when the process is gone."""
    found = set()
    for table in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{table}") as rows:
            columns = [row.split() for row in rows][1:]
        found |= {int(row[1].rpartition(":")[2], 16) for row in columns if row[3] == _LISTEN}
    return found


async def _pause(seconds: float) -> None:
    """Let `seconds` pass; whoever waits for the probe ends it by cancelling its task."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.get_running_loop().create_future()


async def _by_command(action: JsonObject, target: Target) -> None:
    status, output = await target.run(tuple(action.get("command") or ()))
    if status:
        raise ProbeError(output.decode(errors="replace").strip() or f"command exited with status {status}")


async def _by_connection(action: JsonObject, target: Target) -> None:
    connection = await _connect(action.get("host") or target.address, _port(action["port"], target), target)
    connection.close()


async def _by_http(action: JsonObject, target: Target) -> None:
    host, port = action.get("host") or target.address, _port(action["port"], target)
    connection = await _connect(host, port, target)
    secure = _trusting_context() if (action.get("scheme") or "HTTP").upper() == "HTTPS" else None
    name = "" if secure else None
    reader, writer = await asyncio.open_connection(sock=connection, ssl=secure, server_hostname=name)
    try:
        writer.write(_request(action, host, port))
        status = (await reader.readline()).split()
        await reader.read(_LARGEST_ANSWER)
    finally:
        writer.close()
    if len(status) < 2 or not status[1].isdigit():
        raise ProbeError("HTTP probe failed: malformed HTTP response")
    if int(status[1]) not in _HEALTHY:
        raise ProbeError(f"HTTP probe failed with statuscode: {int(status[1])}")


def _request(action: JsonObject, host: str, port: int) -> bytes:
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    headers = {"Host": where, "User-Agent": "kube-probe/1.37", "Accept": "*/*", "Connection": "close"}
    headers |= {header["name"]: header["value"] for header in action.get("httpHeaders") or ()}
    path = action.get("path") or "/"
    lines = [f"GET {path if path.startswith('/') else '/' + path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _connect(host: str, port: int, target: Target) -> socket.socket:
    with inside(target.netns):
        connection = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(connection, (host, port))
    except BaseException:
        connection.close()
        raise
    return connection


def _port(port: int | str, target: Target) -> int:
    if isinstance(port, int):
        return port
    if port.isdigit():
        return int(port)
    if port not in target.ports:
        raise ProbeError(f"couldn't find port: {port}")
    return target.ports[port]


def _trusting_context() -> ssl.SSLContext:
    """Kubelet does not verify the certificates of what it probes."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

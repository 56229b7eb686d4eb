#!/usr/bin/env python3
"""`agnhost connect HOST:PORT`: tries to connect and names what went wrong.

Containers of every image find this program as `/agnhost`. Servers (`sh -c "/agnhost porter"`) are played
for those whose command line is a program of the host. Output and exit status are those of
kubernetes/kubernetes test/images/agnhost/connect: nothing and 0, or TIMEOUT, REFUSED, DNS, OTHER or
UNKNOWN on standard error and 1.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from typing import NoReturn

_SECONDS = {"ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_KINDS = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM, "sctp": socket.SOCK_STREAM}


def main() -> int:
    """Run the subcommand."""
    if sys.argv[1:2] == ["pause"]:
        signal.pause()
        return 0
    if sys.argv[1:2] != ["connect"]:
        return _serve()
    flags, words = _parse(sys.argv[2:])
    if len(words) != 1:
        print(f"Error: accepts 1 arg(s), received {len(words)}", file=sys.stderr)
        return 1
    protocol = flags.get("protocol") or "tcp"
    if protocol not in _KINDS:
        _fail("Unsupported protocol")
    host, port = _split(words[0])
    try:
        found = socket.getaddrinfo(
            host, port, type=_KINDS[protocol] if protocol != "sctp" else socket.SOCK_STREAM
        )
    except OSError as error:
        _fail(f"DNS: {error}")
    _connect(
        protocol,
        found,
        _duration(flags.get("timeout", "0")) or None,
        flags.get(f"{protocol}-data", "hostname"),
    )
    return 0


def _serve() -> int:
    """Become the program of that name which stands for the server, where the container has it."""
    try:
        os.execvp("agnhost", ["agnhost", *sys.argv[1:]])
    except OSError:
        print("only 'connect' and 'pause' can be run inside this container", file=sys.stderr)
        return 1


def _connect(protocol: str, found: list, timeout: float | None, data: str) -> None:  # type: ignore[type-arg]
    family, kind, number, _, address = found[0]
    try:
        number = socket.IPPROTO_SCTP if protocol == "sctp" else number
        with socket.socket(family, kind, number) as connection:
            connection.settimeout(timeout)
            connection.connect(address)
            if protocol != "tcp":
                connection.sendall(f"{data}\n".encode())
                if not connection.recv(1024):
                    _fail("OTHER: No data received from the server.")
    except TimeoutError:
        _fail("TIMEOUT")
    except ConnectionRefusedError:
        _fail("REFUSED")
    except OSError as error:
        _fail(f"OTHER: {error}")


def _parse(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    flags, words, pending = {}, [], list(arguments)
    while pending:
        argument = pending.pop(0)
        if not argument.startswith("-"):
            words.append(argument)
            continue
        name, given, value = argument.lstrip("-").partition("=")
        flags[name] = value if given or not pending else pending.pop(0)
    return flags, words


def _split(where: str) -> tuple[str, int]:
    host, colon, port = where.rpartition(":")
    if not colon or not port.isdigit():
        _fail(f"UNKNOWN: address {where}: missing port in address")
    return host.strip("[]"), int(port)


def _duration(text: str) -> float:
    return sum(float(number) * _SECONDS[unit] for number, unit in re.findall(r"([0-9.]+)(ms|s|m|h)", text))


def _fail(message: str) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    sys.exit(main())

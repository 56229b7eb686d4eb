#!/usr/bin/env python3
"""nslookup as the busybox:1.28 image has it, which lessons and blogs use to show the search list.

Later versions, Debian's among them, ask for the name as it stands only. What this one does not know itself,
query types and other servers, it leaves to them, name by name of the search list.
"""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

_RESOLV_CONF = "/etc/resolv.conf"


def main() -> int:
    """Answer as `nslookup NAME [SERVER]`."""
    options = [word for word in sys.argv[1:] if word.startswith("-")]
    words = [word for word in sys.argv[1:] if not word.startswith("-")]
    if options or len(words) != 1:
        return _later_version(options, words)
    for server in _settings("nameserver")[:1]:
        print(f"Server:    {server}\nAddress 1: {_with_name(server)}\n", flush=True)
    try:
        found = socket.getaddrinfo(words[0], None, type=socket.SOCK_STREAM)
    except OSError:
        print(f"nslookup: can't resolve '{words[0]}'", file=sys.stderr)
        return 1
    print(f"Name:      {words[0]}")
    for number, address in enumerate(dict.fromkeys(str(entry[4][0]) for entry in found), start=1):
        print(f"Address {number}: {_with_name(address)}")
    return 0


def _later_version(options: list[str], words: list[str]) -> int:
    answer = subprocess.CompletedProcess([], 1, b"", b"")
    for name in _candidates(words[0]) if words else [""]:
        command = ["busybox", "nslookup", *options, *([name] if name else []), *words[1:]]
        answer = subprocess.run(command, capture_output=True, check=False)
        if answer.returncode == 0:
            break
    sys.stdout.buffer.write(answer.stdout)
    sys.stderr.buffer.write(answer.stderr)
    return answer.returncode


def _candidates(name: str) -> Iterator[str]:
    """What the resolver asks for, in its order (resolv.conf(5): search and ndots)."""
    dots = [option[6:] for option in _settings("options") if option.startswith("ndots:")]
    whole = name.endswith(".") or name.replace(".", "").isdigit() or ":" in name
    searched = [] if whole else [f"{name}.{suffix}" for suffix in _settings("search")]
    if name.count(".") < int(dots[-1] if dots else 1):
        yield from searched
        yield name
    else:
        yield name
        yield from searched


def _settings(keyword: str) -> list[str]:
    with open(_RESOLV_CONF) as lines:
        return [word for line in lines if line.split()[:1] == [keyword] for word in line.split()[1:]]


def _with_name(address: str) -> str:
    """The address, and the name that its PTR record gives, if any."""
    try:
        name, _ = socket.getnameinfo((address, 0), socket.NI_NAMEREQD)
    except OSError:
        return address
    return f"{address} {name}"


if __name__ == "__main__":
    sys.exit(main())

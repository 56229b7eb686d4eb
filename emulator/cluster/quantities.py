"""What links are measured in, as tc spells it: `1gbit`, `2ms`, `0.1%`; and packets in bytes."""

from __future__ import annotations

import re

_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(bit|bps)", re.IGNORECASE)
_DELAY = re.compile(r"(\d+(?:\.\d+)?)\s*(us|ms|s)", re.IGNORECASE)
_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")
SMALLEST_MTU, LARGEST_MTU = 68, 1500
"""What every IPv4 link carries (RFC 791), and what ours do."""
_MICROSECONDS = {"us": 1, "ms": 1000, "s": 1_000_000}


def parse_rate(text: str) -> int:
    """A rate in bit/s; `bps` are bytes, as in tc. Raises ValueError with what would have been right."""
    match = _RATE.fullmatch(text.strip())
    if not match:
        raise ValueError("a number and kbit, mbit or gbit: 100mbit")
    number, prefix, unit = match.groups()
    factor: int = 1000 ** " kmgt".index(prefix.lower() or " ")
    bits = round(float(number) * factor * (8 if unit.lower() == "bps" else 1))
    if bits < 1:
        raise ValueError("1bit or more")
    return bits


def parse_delay(text: str) -> int:
    """A delay in microseconds. Raises ValueError with what would have been right."""
    match = _DELAY.fullmatch(text.strip())
    if not match:
        raise ValueError("a number and us, ms or s: 2ms")
    return round(float(match[1]) * _MICROSECONDS[match[2].lower()])


def parse_percentage(text: str) -> float:
    """A share, 0 to 1. Raises ValueError with what would have been right."""
    match = _SHARE.fullmatch(text.strip())
    if not match or float(match[1]) > 100:
        raise ValueError("a percentage: 0.1%")
    return float(match[1]) / 100


def parse_mtu(text: str) -> int:
    """The size of a packet in bytes. Raises ValueError with what would have been right."""
    word = text.strip()
    if not word.isdecimal() or not SMALLEST_MTU <= int(word) <= LARGEST_MTU:
        raise ValueError(f"bytes of a packet, {SMALLEST_MTU} to {LARGEST_MTU}: 1400")
    return int(word)


def parse_seed(text: str) -> int:
    """What random choices follow. Raises ValueError with what would have been right."""
    if not text.strip().isdecimal():
        raise ValueError("a whole number: 42")
    return int(text)

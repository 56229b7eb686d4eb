"""Command-line flags as the stood-in programs read them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from emulator.workloads.servers.program import ProgramError

_DURATION = re.compile(r"([0-9.]+)(ns|us|µs|ms|s|m|h)")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_TRUE = frozenset({"", "1", "t", "true"})


@dataclass(frozen=True, slots=True)
class Flags:
    """Flags in the forms `--name=value`, `--name value` and `-name=value`; the rest are words."""

    values: dict[str, str]
    words: tuple[str, ...]

    @classmethod
    def parse(cls, arguments: Sequence[str], switches: frozenset[str] = frozenset()) -> Flags:
        """Read a command line; `switches` are the names that take no value of their own."""
        values: dict[str, str] = {}
        words: list[str] = []
        pending = list(arguments)
        while pending:
            argument = pending.pop(0)
            if not argument.startswith("-") or argument == "-":
                words.append(argument)
                continue
            name, has_value, value = argument.lstrip("-").partition("=")
            if not has_value and name not in switches and pending and not pending[0].startswith("--"):
                value = pending.pop(0)
            values[name] = value
        return cls(values, tuple(words))

    def text(self, name: str, default: str = "") -> str:
        """The value of a flag."""
        return self.values.get(name, default)

    def number(self, name: str, default: int) -> int:
        """The value of a flag that counts. Raises ProgramError when it is no number."""
        text = self.values.get(name)
        try:
            return default if text is None else int(text)
        except ValueError:
            raise ProgramError(f'invalid argument "{text}" for "--{name}" flag') from None

    def switch(self, name: str, *, default: bool) -> bool:
        """The value of a flag that is on or off."""
        return self.values[name].lower() in _TRUE if name in self.values else default


def seconds(text: str) -> float:
    """The length of a Go duration such as `1m30s`. Raises ValueError."""
    if text in ("", "0"):
        return 0.0
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f'time: invalid duration "{text}"')
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)

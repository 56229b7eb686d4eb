"""What a link does to packets beside carrying them: one value for topologies, scenarios and faults.

The fields and their units are netem's: tc-netem(8) says what each of them means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace

from emulator.cluster.quantities import parse_delay, parse_mtu, parse_percentage, parse_rate

Quantity = int | float


class ImpairmentMistake(ValueError):  # noqa: N818 - the user's, not the program's
    """Impairments that cannot be. `field` is the one at fault; `hint` says what would have been right."""

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Impairment:
    """In each direction of a link. Times are in microseconds, shares 0..1, the rate in bit/s.

    None says nothing of a field; so does `down` when it is false.
    """

    delay: int | None = None
    jitter: int | None = None
    """The delay of each packet is drawn from `delay` plus or minus so much, so that packets overtake."""
    loss: float | None = None
    duplicate: float | None = None
    reorder: float | None = None
    """So many packets are not delayed, and overtake those that are."""
    corrupt: float | None = None
    """So many packets arrive with one bit turned over."""
    rate: int | None = None
    mtu: int | None = None
    """Larger packets, in bytes with their IP header, vanish and nobody is told."""
    down: bool = False
    """The cable is cut."""

    def __bool__(self) -> bool:
        return self != SOUND

    @property
    def chances(self) -> bool:
        """Whether it draws random numbers."""
        return bool(self.jitter or self.loss or self.duplicate or self.reorder or self.corrupt)

    @property
    def needs_netem(self) -> bool:
        """Whether it is more than a rate, which every kernel can limit, and the state of interfaces."""
        return self.chances or bool(self.delay)

    @property
    def touches_packets(self) -> bool:
        """Whether it is more than the state of interfaces."""
        return self.needs_netem or self.rate is not None

    def under(self, other: Impairment) -> Impairment:
        """What is left of it where `other` is in force as well: that one's fields count first."""
        said = {field.name: getattr(other, field.name) for field in fields(other)}
        return replace(self, **{n: v for n, v in said.items() if v is not None and v is not False})


SOUND = Impairment()
"""A link that does nothing but carry."""

PARSERS: Mapping[str, Callable[[str], Quantity]] = {
    "delay": parse_delay,
    "jitter": parse_delay,
    "loss": parse_percentage,
    "duplicate": parse_percentage,
    "reorder": parse_percentage,
    "corrupt": parse_percentage,
    "rate": parse_rate,
    "mtu": parse_mtu,
}
"""The fields that can be written, and how each is read."""


def read_impairment(given: Mapping[str, object]) -> Impairment:
    """An impairment as somebody wrote it; `given` may have other fields. Raises ImpairmentMistake."""
    values: dict[str, Quantity] = {}
    for field, parse in PARSERS.items():
        if given.get(field) is not None:
            try:
                values[field] = parse(str(given[field]))
            except ValueError as wrong:
                raise ImpairmentMistake(field, f"{given[field]!r} is no {field}", str(wrong)) from None
    _refuse_contradictions(values)
    return Impairment(**values)  # type: ignore[arg-type]


def _refuse_contradictions(values: Mapping[str, Quantity]) -> None:
    for field, effect in (("jitter", "varies a delay"), ("reorder", "lets packets overtake delayed ones")):
        if values.get(field) and not values.get("delay"):
            raise ImpairmentMistake(field, f"{field} {effect}, and there is none", "add delay: 10ms")
    if values.get("jitter", 0) > values.get("delay", 0):
        raise ImpairmentMistake("jitter", "the jitter is larger than the delay", "at most the delay")


def words(impairment: Impairment) -> str:
    """As a person says it: `delay 20ms, loss 10%`."""
    said = [
        f"{name} {_UNITS[name](value)}"
        for name in PARSERS
        if (value := getattr(impairment, name)) is not None
    ]
    return ", ".join([*said, *(["down"] if impairment.down else [])]) or "sound"


def _time(microseconds: float) -> str:
    for factor, unit in ((1_000_000, "s"), (1000, "ms")):
        if microseconds >= factor:
            return f"{microseconds / factor:g}{unit}"
    return f"{microseconds:g}us"


def _share(share: float) -> str:
    return f"{share * 100:g}%"


def _rate(bits: float) -> str:
    for factor, unit in ((1e9, "gbit"), (1e6, "mbit"), (1e3, "kbit")):
        if bits >= factor:
            return f"{bits / factor:g}{unit}"
    return f"{bits:g}bit"


_UNITS: Mapping[str, Callable[[Quantity], str]] = {
    "delay": _time,
    "jitter": _time,
    "loss": _share,
    "duplicate": _share,
    "reorder": _share,
    "corrupt": _share,
    "rate": _rate,
    "mtu": str,
}

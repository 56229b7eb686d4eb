"""Faults of links: what a topology can say of a link, and a cable that is cut."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from emulator.cluster.faults.kind import SEED, FaultKind, FaultMistake, Parameter, Value
from emulator.cluster.impairments import (
    PARSERS,
    Impairment,
    ImpairmentMistake,
    read_impairment,
)

_LINK = Parameter(
    "link",
    "The link's two ends as worker-1,fabric, or the place that it leads to where that has only one: "
    "worker-1, client, shop/web-0.",
    required=True,
    suggests="places",
)


def _quantity(field: str) -> Callable[[str], Value]:
    def parse(word: str) -> Value:
        try:
            PARSERS[field](word)
        except ValueError as wrong:
            raise ValueError(f"{word!r} is no {field} ({wrong})") from None
        return word.strip()

    return parse


def _together(arguments: Mapping[str, Value]) -> None:
    try:
        if not read_impairment(arguments):
            effects = ", ".join(field for field in PARSERS if field != "mtu")
            raise FaultMistake("", "link-impaired: nothing is said to happen", f"give some of {effects}")
    except ImpairmentMistake as wrong:
        raise FaultMistake(wrong.field, str(wrong), wrong.hint) from None


_EFFECTS = {
    "delay": "How much later packets arrive: 20ms.",
    "jitter": "By how much the delay of each packet varies, up and down: 5ms.",
    "loss": "How many packets vanish: 10%.",
    "duplicate": "How many packets arrive twice: 1%.",
    "reorder": "How many packets are not delayed, and so overtake others: 25%.",
    "corrupt": "How many packets arrive with one bit turned over: 0.1%.",
    "rate": "What passes at most: 10mbit.",
}

LINKS: tuple[FaultKind, ...] = (
    FaultKind(
        "link-down",
        "Cut a cable: neither end hears of the other, and both see that the wire is dead.",
        "A node behind a cut cable is silent, and Kubernetes cannot tell it from a dead one: it waits out "
        "the grace period before it moves anything. A routing daemon that sees its wire die does not wait.",
        (_LINK,),
    ),
    FaultKind(
        "link-impaired",
        "Delay, lose, double, reorder or corrupt packets on a link in each direction, or limit its rate.",
        "TCP hides loss and pays in time: each loss costs a round trip or a timer's end. UDP hides nothing. "
        "A service mesh, a retry or a probe's timeout that is fine in a data centre breaks here.",
        (_LINK, *(Parameter(name, text, _quantity(name)) for name, text in _EFFECTS.items()), SEED),
        check=_together,
    ),
    FaultKind(
        "link-mtu",
        "Let a link carry small packets only; larger ones vanish, and nobody is told.",
        "The MTU black hole of overlays: ping and the handshake get through, the first full segment does "
        "not, and the connection hangs. The node's interface still promises 1500 bytes.",
        (
            _LINK,
            Parameter("mtu", "The largest packet that passes, in bytes: 1400.", _quantity("mtu"), "1400"),
        ),
    ),
)


def impairment_of(kind: str, arguments: Mapping[str, Value]) -> Impairment | None:
    """What a fault does to its link; None for faults that are not about a link."""
    if kind == "link-down":
        return Impairment(down=True)
    if kind in ("link-impaired", "link-mtu"):
        return read_impairment(arguments)
    return None

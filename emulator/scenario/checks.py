"""Reading expectations: probes, objects, logs."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from itertools import product
from typing import Any

from emulator.cluster.outcome import Outcome
from emulator.cluster.places import Place, parse_place, parse_port, place_of_url
from emulator.oracle.answer import Code
from emulator.probes.checks import check_of
from emulator.probes.packets import packet_of
from emulator.probes.request import RequestError
from emulator.scenario.document import Reader
from emulator.scenario.loads import read_load_check
from emulator.scenario.model import Check, Claim, Control, LogCheck, ObjectCheck, ProbeCheck
from emulator.scenario.words import duration, key_named
from emulator.verdict.expectation import Expectation, Spread
from emulator.verdict.outcome import EXPECTABLE

_OUTCOMES = tuple(outcome.value for outcome in EXPECTABLE)


def read_check(reader: Reader, namespace: str) -> list[Check]:
    """One expectation, or several where `from` or `to` is a list; none when it cannot be read."""
    if "object" in reader:
        return _object(reader, namespace)
    if "logs" in reader:
        return _logs(reader, namespace)
    if "load" in reader:
        return [read_load_check(reader)]
    return _probes(reader, namespace)


def read_claim(reader: Reader) -> Claim | None:
    """`field` with one of `is`, `is_not`, `contains`, `exists`."""
    path = reader.need("field", str, "")
    said = [word for word in ("is", "is_not", "contains", "exists") if word in reader]
    claim = Claim(
        path,
        equals=reader.raw("is"),
        differs=reader.raw("is_not"),
        contains=reader.take("contains", str, ""),
        exists=reader.take("exists", bool, False) if "exists" in reader else None,
    )
    if reader.is_mapping and len(said) != 1:
        reader.document.complain(reader.path, "say one of is, is_not, contains, exists about the field")
        return None
    return claim if path else None


def _object(reader: Reader, namespace: str) -> list[Check]:
    text = reader.need("object", str, "")
    key = key_named(text, namespace)
    if key is None:
        reader.complain("object", f"{text!r} is no object: write KIND/NAMESPACE/NAME, as pod/shop/web")
    claim = read_claim(reader)
    reader.done()
    return [ObjectCheck(key, claim, reader.line)] if key and claim else []


def _logs(reader: Reader, namespace: str) -> list[Check]:
    place = reader.parsed("logs", lambda text: parse_place(text, namespace), reader.need("logs", str, ""))
    check = LogCheck(
        pod=str(place or ""),
        container=reader.take("container", str, "") or None,
        contains=reader.need("contains", str, ""),
        previous=reader.take("previous", bool, False),
        line=reader.line,
    )
    reader.done()
    return [check]


def _probes(reader: Reader, namespace: str) -> list[Check]:
    host, names_host = _host(reader), "//" in str(reader.raw("http"))
    for name in ("from", "to"):
        if name not in reader and reader.is_mapping and not (name == "to" and names_host):
            reader.document.complain(reader.path, f"{name} is missing")
    sources = _places(reader, "from", namespace)
    targets = _places(reader, "to", namespace) or ([host] if host else [])
    port = _port(reader, "port")
    expected = _expectation(reader, namespace)
    family = reader.take("family", int, 0)
    if family not in (0, 4, 6):
        reader.complain("family", f"must be 4 or 6, is {family}")
    common: dict[str, Any] = {
        "expected": expected,
        "line": reader.line,
        "count": reader.take("count", int, 1),
        "http": reader.take("http", str, "") or None,
        "family": family or None,
        "cause": _cause(reader),
        "packet": _packet(reader),
        "timeout": reader.parsed("timeout", duration, str(reader.raw("timeout") or "0")) or None,
        "controls": _controls(reader, namespace),
        "options": _options(reader),
    }
    if common["count"] < 1:
        reader.complain("count", "must be 1 or more")
    if expected.response and not common["http"]:
        reader.complain("response", "only a probe with http: has a response", at_key=True)
    reader.done()
    return [
        ProbeCheck(str(source), str(target), str(target.port) if target.port else port, **common)
        for source, target in product(sources, targets)
    ]


def _host(reader: Reader) -> Place | None:
    """The host of a whole URL in `http`: what the probe goes to when `to` is left out."""
    url = reader.raw("http")
    if "to" in reader or not isinstance(url, str):
        return None
    return reader.parsed("http", place_of_url, url)


def _options(reader: Reader) -> dict[str, Any]:
    """What only some probes need: how to talk, not what to expect."""
    options: dict[str, Any] = {
        "size": reader.take("size", int, 0),
        "exchanges": reader.take("exchanges", int, 0),
        "source_port": reader.take("sourcePort", int, 0),
        "dont_fragment": reader.take("dontFragment", bool, False),
        "interval": reader.parsed("interval", duration, str(reader.raw("interval") or "0")),
    }
    return {name: value for name, value in options.items() if value}


def _packet(reader: Reader) -> dict[str, Any] | None:
    packet = reader.mapping("packet")
    if not packet:
        return None
    try:
        packet_of(packet)
    except RequestError as wrong:
        reader.complain("packet", str(wrong).removeprefix("packet: "))
    return packet


def _places(reader: Reader, name: str, namespace: str) -> list[Place]:
    found = []
    for text in reader.texts(name):
        place = reader.parsed(name, lambda text: parse_place(text, namespace), text)
        if place and place.port and name == "from":
            reader.complain(name, "a source has no port")
        elif place:
            found.append(place)
    return found


def _port(reader: Reader, name: str) -> str | None:
    value = reader.raw(name)
    if value is None:
        return None
    port = reader.parsed(name, parse_port, str(value))
    return str(port) if port else None


def _expectation(reader: Reader, namespace: str) -> Expectation:
    sees = _sees(reader, namespace)
    return Expectation(
        outcome=Outcome(reader.one_of("outcome", _OUTCOMES, Outcome.CONNECTED)),
        because=_because(reader, namespace),
        sees=sees,
        endpoints=_spread(reader, namespace) if "endpoints" in reader else None,
        captures=tuple(_capture(item, namespace) for item in reader.each("captures")),
        response=_mapping_of(reader, "response", ("status", "body")),
        fields=reader.mapping("report"),
    )


def _because(reader: Reader, namespace: str) -> str:
    """An object, or one of the oracle's codes."""
    text = reader.take("because", str, "")
    if not text or text in set(Code):
        return text
    key = key_named(text, namespace)
    if key is None:
        codes = ", ".join(code.value for code in Code)
        reader.complain("because", f"{text!r} is no reason: write KIND/NAMESPACE/NAME, or one of {codes}")
        return ""
    return str(key)


def _cause(reader: Reader) -> str:
    """A code of `diagnose`, an object, or `none`."""
    text = reader.take("cause", str, "")
    if not text or "/" in text:
        return text
    from emulator.verdict.causes.order import CODES

    known = ("none", *(code.name for code in CODES))
    if text not in known:
        near = get_close_matches(text, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "docs/diagnose.md lists the codes"
        reader.complain("cause", f"{text!r} is no cause: write a code, KIND/NAMESPACE/NAME, or none; {hint}")
        return ""
    return text


_SEEN = ("source", "sourcePort", "destination", "destinationPort", "ttl", "at", "count")


def _sees(reader: Reader, namespace: str) -> Mapping[str, Any]:
    sees = _mapping_of(reader, "sees", _SEEN)
    if "source" in sees:
        place = reader.parsed("sees", lambda text: parse_place(text, namespace), str(sees["source"]))
        if place:
            sees["source"] = str(place)
    return sees


def _mapping_of(reader: Reader, name: str, known: tuple[str, ...]) -> dict[str, Any]:
    if name not in reader:
        reader.raw(name)
        return {}
    child = reader.child(name)
    values = {field: child.raw(field) for field in known if field in child}
    for field in known:
        child.raw(field)
    child.done()
    return values


def _spread(reader: Reader, namespace: str) -> Spread:
    value = reader.raw("endpoints")
    if isinstance(value, list):
        return Spread(places=tuple(_pattern(str(item), namespace) for item in value))
    if isinstance(value, str):
        return Spread(places=(_pattern(value, namespace),))
    child = reader.child("endpoints")
    spread = child.one_of("spread", ("even",), "")
    count = child.take("count", int, 0)
    only = tuple(_pattern(text, namespace) for text in child.texts("only"))
    child.done()
    return Spread(places=only, count=count or None, even=spread == "even")


def _pattern(text: str, namespace: str) -> str:
    """`shop/web-*`; without a namespace, the scenario's."""
    return text if "/" in text else f"{namespace}/{text}"


def _capture(item: Reader, namespace: str) -> Mapping[str, Any]:
    """A claim about captured packets, checked by the room that will decide it."""
    claim = {name: item.raw(name) for name in ("at", "match", "count", "direction") if name in item}
    for name in ("at", "match", "count", "direction"):
        item.raw(name)
    at = str(claim.get("at", ""))
    if "/" in at:  # a single word is a switch port's name, or `answers`
        place = item.parsed("at", lambda text: parse_place(text, namespace), at)
        claim["at"] = str(place)
    item.done()
    try:
        check_of(claim)
    except RequestError as wrong:
        item.document.complain(item.path, str(wrong))
    return claim


def _controls(reader: Reader, namespace: str) -> tuple[Control, ...] | None:
    if "control" not in reader:
        reader.raw("control")
        return None
    items = reader.each("control") if isinstance(reader.raw("control"), list) else [reader.child("control")]
    found = []
    for item in items:
        for name in ("from", "to"):
            item.need(name, str, "")
        sources, targets = _places(item, "from", namespace), _places(item, "to", namespace)
        port = _port(item, "port")
        item.done()
        if sources and targets:
            target = targets[0]
            found.append(
                Control(
                    str(sources[0]),
                    str(target),
                    str(target.port) if target.port else port,
                    "the scenario asks for it",
                )
            )
    return tuple(found)

"""Is this object one that the API server would take? Its schema first, then the rules behind the schema."""

from __future__ import annotations

from dataclasses import dataclass

from emulator.api.decode import Decoder
from emulator.api.findings import DECODING, Finding, Reason
from emulator.api.objects import JsonObject
from emulator.api.rules import RULES
from emulator.api.rules.metadata import metadata_findings
from emulator.api.schema import shape_of


@dataclass(frozen=True, slots=True)
class Checked:
    """An object as the decoder understood it, and what is wrong with it."""

    obj: JsonObject
    """Without nulls and without the fields that the schema does not know."""
    findings: tuple[Finding, ...]

    @property
    def unknown_fields(self) -> tuple[Finding, ...]:
        """The findings that the API server only warns of unless asked to be strict."""
        return tuple(f for f in self.findings if f.reason is Reason.UNKNOWN)

    @property
    def decoding(self) -> tuple[Finding, ...]:
        """The findings because of which the object cannot be read at all (wrong types): 400."""
        return tuple(f for f in self.findings if f.reason in DECODING and f.reason is not Reason.UNKNOWN)

    @property
    def broken_rules(self) -> tuple[Finding, ...]:
        """The findings about an object that could be read: 422."""
        return tuple(f for f in self.findings if f.reason not in DECODING)


def check(obj: JsonObject) -> Checked:
    """Check an object of any kind that has a schema, before defaults are filled in.

    The rules behind the schema are tried only on objects whose types are right. Kinds without a schema pass.
    """
    shape = shape_of(str(obj.get("apiVersion", "")), str(obj.get("kind", "")))
    if shape is None:
        return Checked(obj, ())
    decoder = Decoder()
    decoded = decoder.decode(obj, shape)
    findings = decoder.findings
    if not any(f.reason is Reason.TYPE for f in findings):
        known = {f.path for f in findings}
        rule = RULES.get(decoded["kind"])
        behind = [*metadata_findings(decoded), *(rule(decoded) if rule else ())]
        findings += [f for f in behind if f.path not in known]
    return Checked(decoded, tuple(findings))


def problems_of(obj: JsonObject) -> list[Finding]:
    """What is wrong with an object; empty when the API server would take it."""
    return list(check(obj).findings)

"""From evidence to a diagnosis: causes are tried in turn, and the first that is recognised is named."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from emulator.api.objects import JsonObject
from emulator.cluster.model import Ref
from emulator.cluster.outcome import Outcome
from emulator.verdict.diagnose.evidence import Evidence


@dataclass(frozen=True, slots=True)
class Code:
    """A kind of cause."""

    name: str
    """`wrong-target-port`: what programs test for. It never changes its meaning."""
    meaning: str
    """What is wrong, in general; a sentence without its full stop."""
    remedy: str
    """What to do about it, in general."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Cause:
    """What is wrong here."""

    code: Code
    object: str
    """`NetworkPolicy/shop/deny-all`, `Node/worker-1`: who has to change."""
    sentence: str
    """What is wrong, in particular."""
    fix: str
    """What to do, or a change of YAML; several lines where it takes them."""
    see: str = ""
    """A command that shows it."""
    command: str = ""
    """A command that mends it, where one is enough."""

    @property
    def mending(self) -> str:
        """What to do about it, the command last."""
        return "\n".join(filter(None, (self.fix, self.command)))

    def same(self, other: Cause) -> bool:
        """Whether it is the same thing that is wrong, whatever is said of it."""
        return (self.code, self.object) == (other.code, other.object)

    def as_json(self) -> JsonObject:
        """The contract's fields first."""
        body = {"code": self.code.name, "object": self.object, "sentence": self.sentence}
        body["meaning"] = self.code.meaning
        commands = {"see": self.see, "command": self.command}
        return body | {name: text for name, text in commands.items() if text}


Finder = Callable[[Evidence], Cause | None]
"""Recognises one cause. It is called only when something is wrong, and says None when in doubt."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What `diagnose` says."""

    evidence: Evidence
    causes: tuple[Cause, ...]
    """All that stand in the way, each for itself, in the order in which a packet meets them."""
    change: str
    """Without a cause: what would alter what happens."""

    @property
    def cause(self) -> Cause | None:
        """The first one."""
        return next(iter(self.causes), None)

    @property
    def agrees(self) -> bool:
        """Whether everything is as the manifests say."""
        answers = self.evidence.answers
        known = bool(answers.expected and answers.final) and not answers.failed
        return known and not answers.difference and not self.evidence.sights.trouble

    @property
    def outcome(self) -> Outcome:
        """What happens; ERROR where nobody knows."""
        found = self.evidence.answers.final
        if not found or self.evidence.answers.failed:
            return Outcome.ERROR
        return next(iter(found)) if len(found) == 1 else Outcome.MIXED

    def as_json(self) -> JsonObject:
        """The `Diagnosis` contract; what follows `fix` is added to it."""
        evidence, answers = self.evidence, self.evidence.answers
        body: JsonObject = {
            "apiVersion": "mininetes.io/v1",
            "kind": "Diagnosis",
            "from": evidence.source or str(evidence.asked.source),
            "to": str(evidence.asked.target),
            "port": str(evidence.port) if evidence.port else None,
            "spec": answers.spec.as_json() if answers.spec else None,
            "trace": answers.trace.as_json() if answers.trace else None,
            "wire": dict(answers.wire) if answers.wire else None,
            "drift": [dict(item) for item in evidence.drift],
            "cause": self.cause.as_json() if self.cause else None,
            "fix": self.cause.mending if self.cause else "",
            "causes": [cause.as_json() | {"fix": cause.mending} for cause in self.causes],
            "outcome": self.outcome.value,
            "agrees": self.agrees,
            "difference": answers.difference,
            "change": self.change,
            "address": str(evidence.address) if evidence.address else None,
        }
        if told := evidence.sights.as_json():
            body["sights"] = told
        if evidence.refusal:
            body["refusal"] = evidence.refusal
        if evidence.naming:
            body["lookups"] = [one.as_json() for one in evidence.naming.lookups]
        if evidence.listening:
            body["listening"] = {
                place: [str(one) for one in found] for place, found in evidence.listening.items()
            }
        return body


def diagnose(evidence: Evidence, finders: Iterable[Finder], change: Callable[[Evidence], str]) -> Diagnosis:
    """The first cause that is recognised; none is looked for when nothing is wrong."""
    if evidence.is_well:
        return Diagnosis(evidence, (), change(evidence))
    found = first(evidence, finders)
    return Diagnosis(evidence, (found,), "") if found else Diagnosis(evidence, (), change(evidence))


def first(evidence: Evidence, finders: Iterable[Finder]) -> Cause | None:
    """The first cause that is recognised."""
    return next(filter(None, (finder(evidence) for finder in finders)), None)


def written(ref: Ref) -> str:
    """The object as users write it on a command line: `networkpolicy/deny-all -n shop`."""
    namespace = f" -n {ref.namespace}" if ref.namespace else ""
    return f"{ref.kind.lower()}/{ref.name}{namespace}"

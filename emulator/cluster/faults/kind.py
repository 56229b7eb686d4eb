"""What a kind of fault is: its name, what it takes, what it does and what it teaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

Value = str | int | float
"""An argument as JSON holds it."""


class FaultMistake(ValueError):  # noqa: N818 - the user's, not the program's
    """A fault that cannot be asked for so. `field` is the argument at fault; empty: the kind itself."""

    exit_code = 2

    def __init__(self, field: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.hint = hint


def text(word: str) -> Value:
    """Any text but none at all."""
    if not word.strip():
        raise ValueError("must not be empty")
    return word.strip()


def whole(least: int) -> Callable[[str], Value]:
    """A whole number of at least so much."""

    def parse(word: str) -> Value:
        if not word.strip().isdecimal() or int(word) < least:
            raise ValueError(f"{word!r} is no whole number from {least} on")
        return int(word)

    return parse


def node(word: str) -> Value:
    """`worker-2` of `node/worker-2`."""
    return text(word.removeprefix("node/"))


def router(word: str) -> Value:
    """`nat-a` of `router/nat-a`."""
    return text(word.removeprefix("router/"))


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that a fault takes."""

    name: str
    help: str
    parse: Callable[[str], Value] = text
    """From the text that somebody wrote to the value. Raises ValueError with what is wrong."""
    default: Value | None = None
    """None, where it is not required: left to the fault."""
    required: bool = False
    suggests: str = ""
    """What completion offers: `nodes`, `places`, `pods`, `routers`; empty for nothing."""


SEED = Parameter("seed", "What random choices follow; drawn, and told, when it is not given.", whole(0))
"""A kind that has it is given a seed in any case."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row of the catalogue."""

    name: str
    summary: str
    """What it does, a sentence in the imperative."""
    teaches: str
    """What can be seen and learned by it."""
    parameters: tuple[Parameter, ...] = ()
    """The order is the one in which words without a name are read."""
    check: Callable[[Mapping[str, Value]], None] | None = None
    """What has to hold of the arguments together. Raises FaultMistake."""
    lasts: bool = True
    """Until it is cleared; else it is over as soon as it has happened, and what comes back does by itself."""

    def parameter(self, name: str) -> Parameter:
        """The one of that name. Raises FaultMistake with the nearest ones."""
        for parameter in self.parameters:
            if parameter.name == name:
                return parameter
        names = [parameter.name for parameter in self.parameters]
        takes = f"it takes {', '.join(names)}" if names else "it takes nothing"
        raise FaultMistake(name, f"{self.name} has no argument {name!r}", nearest(name, names) or takes)

    def arguments(self, given: Mapping[str, object]) -> dict[str, Value]:
        """The arguments, read and with defaults. Raises FaultMistake."""
        found: dict[str, Value] = {}
        for name, value in given.items():
            parameter = self.parameter(name)
            if isinstance(value, bool) or not isinstance(value, str | int | float):
                raise FaultMistake(name, f"must be a text or a number, is {value!r}")
            try:
                found[name] = parameter.parse(str(value))
            except ValueError as wrong:
                raise FaultMistake(name, str(wrong)) from None
        for parameter in self.parameters:
            if parameter.name in found:
                continue
            if parameter.required:
                raise FaultMistake("", f"{self.name} needs {parameter.name}: {parameter.help}", self.usage)
            if parameter.default is not None:
                found[parameter.name] = parameter.default
        if self.check:
            self.check(found)
        return {p.name: found[p.name] for p in self.parameters if p.name in found}

    @property
    def usage(self) -> str:
        """As the command line takes it: `node-down NODE`."""
        words = [p.name.upper() if p.required else f"[{p.name}={p.name.upper()}]" for p in self.parameters]
        return " ".join([self.name, *words])


def nearest(word: str, known: Sequence[str]) -> str:
    """`did you mean "node-down"?`, or nothing when nothing is near."""
    near = get_close_matches(word, known, n=1, cutoff=0.5)
    return f'did you mean "{near[0]}"?' if near else ""


def read_words(kind: FaultKind, words: Sequence[str]) -> dict[str, str]:
    """What a command line says: `worker-2 limit=5`; a word without a name is the next parameter.

    Raises FaultMistake.
    """
    given: dict[str, str] = {}
    unnamed = iter(kind.parameters)
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            parameter = next((p for p in unnamed if p.name not in given), None)
            if parameter is None:
                raise FaultMistake("", f"{kind.name}: nobody asks for {word!r}", kind.usage)
            name, value = parameter.name, word
        if name in given:
            raise FaultMistake(name, f"{kind.name}: {name} is given twice")
        kind.parameter(name)
        given[name] = value
    return given

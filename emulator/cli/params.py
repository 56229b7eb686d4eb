"""Parameter types and options that several commands share."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")

Function = TypeVar("Function", bound=Callable[..., Any])


class Duration(click.ParamType[float]):
    """A time: `30s`, `1.5m`, `200ms`; a bare number is seconds. Gives seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it, or fail with what would be right."""
        if isinstance(value, int | float):
            return float(value)
        found = _DURATION.fullmatch(value.strip())
        if not found:
            self.fail(f"{value!r} is not a duration: write 30s, 1.5m or 200ms", param, ctx)
        return float(found[1]) * _UNITS[found[2] or "s"]


class PortType(click.ParamType[str]):
    """A port with its protocol: `80/tcp`."""

    name = "port"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it and write it canonically."""
        from emulator.cluster.places import PlaceError, parse_port

        try:
            return str(parse_port(value))
        except PlaceError as wrong:
            self.fail(str(wrong), param, ctx)


class PlaceType(click.ParamType[str]):
    """A place, as text; the namespace is known only when the command runs."""

    name = "place"

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Pods, services, nodes and external hosts of the running cluster."""
        from emulator.cli.completing import places

        return [CompletionItem(name) for name in places(ctx, incomplete)]


class Completed(click.ParamType[str]):
    """Text completed by one of the functions of `emulator.cli.completing`."""

    name = "text"

    def __init__(self, what: str, name: str = "text") -> None:
        self.what = what
        self.name = name

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Whatever the function finds; nothing when it fails."""
        from emulator.cli import completing

        return [CompletionItem(name) for name in getattr(completing, self.what)(ctx, incomplete)]


DURATION = Duration()
PORT = PortType()
PLACE = PlaceType()

name_option = click.option(
    "--name",
    default="default",
    envvar="MININETES_NAME",
    metavar="NAME",
    help="Which cluster.  [default: default]",
)
namespace_option = click.option(
    "-n", "--namespace", default="default", envvar="MININETES_NAMESPACE", metavar="NS",
    help="Namespace of names that do not say theirs.  [default: default]",
)  # fmt: skip


def timeout_option(default: str, text: str) -> Callable[[Function], Function]:
    """`--timeout`, with a default and a meaning of the command's own."""
    return click.option("--timeout", type=DURATION, default=default, show_default=True, help=text)


def output_option(*formats: str) -> Callable[[Function], Function]:
    """`-o`, with the formats that the command knows; the first is the default."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), default=formats[0], help="Form of the result."
    )


class GetFormat(click.Choice[str]):
    """The formats of `get`: words, `jsonpath=TEMPLATE` and `custom-columns=NAME:PATH,...`."""

    name = "format"
    templates = ("jsonpath", "custom-columns")

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Read it; what is behind an equals sign is taken as it is."""
        word, given, _ = str(value).partition("=")
        if word in self.templates:
            if not given:
                self.fail(f"{word} needs what to show: {word}={self._example(word)}", param, ctx)
            return str(value)
        return super().convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context) -> str:  # noqa: ARG002
        """All of them."""
        return f"[{'|'.join((*self.choices, *(f'{word}=…' for word in self.templates)))}]"

    @staticmethod
    def _example(word: str) -> str:
        return "{.status.podIP}" if word == "jsonpath" else "NAME:.metadata.name"


port_option = click.option(
    "--port", type=PORT, metavar="PORT", help="As 80/tcp. Without: a Service's only port, else ICMP echo."
)
family_option = click.option("--family", type=click.Choice(["4", "6"]), help="IPv4 or IPv6.")
families_option = click.option(
    "--families", type=click.Choice(["IPv4", "IPv6", "IPv4,IPv6", "IPv6,IPv4"]),
    help="Only these of the topology's families, the primary one first.",
)  # fmt: skip

files_option = click.option(
    "-f", "--file", "files", multiple=True, metavar="FILE|DIR|-",
    type=click.Path(allow_dash=True), help="Manifests; repeatable.",
)  # fmt: skip

"""What all commands share: the options `-v`, `-q` and `--color`, and environment variables."""

from __future__ import annotations

from typing import Any

import click

COMMON = "mininetes.common"
"""Key of the program's own options in the context's meta."""


class Verb(click.Command):
    """A command that takes the common options and shows every option's environment variable."""

    def __init__(self, *args: Any, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.params += common_options()
        for parameter in self.params:
            if isinstance(parameter, click.Option):
                parameter.show_envvar = True

    def invoke(self, ctx: click.Context) -> Any:
        """Take the common options out of the command's own, set up the terminal, run the command."""
        from emulator.cli.session import Session
        from emulator.cli.terminal import Terminal

        given = dict(ctx.find_root().meta.get(COMMON, {}))
        for option in ("verbose", "quiet", "color"):
            value = ctx.params.pop(option, None)
            if value:
                given[option] = value
        session = ctx.ensure_object(Session)
        session.terminal = Terminal.of(
            color=given.get("color") or "auto",
            verbose=given.get("verbose") or 0,
            quiet=bool(given.get("quiet")),
        )
        ctx.color = session.terminal.color
        return super().invoke(ctx)


def common_options() -> list[click.Parameter]:
    """The options that may stand before and behind the command's name."""
    return [
        click.Option(
            ["-v", "--verbose"],
            count=True,
            default=0,
            envvar="MININETES_VERBOSE",
            help="Say more on stderr; -vv with tracebacks.",
        ),
        click.Option(
            ["-q", "--quiet"],
            is_flag=True,
            envvar="MININETES_QUIET",
            help="No progress, only results and errors.",
        ),
        click.Option(
            ["--color"],
            type=click.Choice(["auto", "always", "never"]),
            envvar="MININETES_COLOR",
            help="Colour; auto honours NO_COLOR, pipes and TERM=dumb.",
        ),
    ]

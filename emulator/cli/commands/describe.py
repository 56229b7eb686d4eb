"""`mininetes describe`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, namespace_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("describe", cls=Verb)
@click.argument("words", nargs=-1, required=True, metavar="KIND NAME", type=Completed("kinds_and_names"))
@namespace_option
@name_option
@click.pass_obj
def command(session: Session, words: tuple[str, ...], namespace: str, name: str) -> None:
    """Show one object in full, with its events."""
    from emulator.cli.describing import describe

    describe(session.connect(name), words, namespace, session.terminal)

"""`mininetes describe`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, namespace_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("describe", cls=Verb)
@click.argument("words", nargs=-1, required=True, metavar="KIND [NAME]...", type=Completed("kinds_and_names"))
@namespace_option
@click.option(
    "-l", "--selector", metavar="LABELS", help="Only objects with these labels, as app=web,tier!=db."
)
@name_option
@click.pass_obj
def command(
    session: Session, words: tuple[str, ...], namespace: str, selector: str | None, name: str
) -> None:
    """Show one object in full, with its events.

    \b
    mininetes describe svc web -n shop          mininetes describe pods -l app=web
    """
    from emulator.cli.describing import describe
    from emulator.cli.listing import Query

    describe(session.connect(name), Query(words, namespace, selector), session.terminal)

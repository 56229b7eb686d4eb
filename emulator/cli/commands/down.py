"""`mininetes down`."""

from __future__ import annotations

import click

from emulator.cli.params import name_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("down", cls=Verb)
@name_option
@click.option("--all", "everything", is_flag=True, help="Every cluster of this user.")
@click.pass_obj
def command(session: Session, name: str, everything: bool) -> None:  # noqa: FBT001
    """Stop a cluster; nothing is left of it."""
    from emulator.cli.starting import stop

    stop(session, None if everything else name)

"""`mininetes version`."""

from __future__ import annotations

import click

from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("version", cls=Verb)
@click.pass_obj
def command(session: Session) -> None:
    """Print the version."""
    from emulator.cli.about import version

    session.terminal.out(f"mininetes {version()}")

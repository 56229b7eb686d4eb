"""`mininetes doctor`."""

from __future__ import annotations

import click

from emulator.cli.params import output_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("doctor", cls=Verb)
@output_option("table", "json")
@click.pass_context
def command(context: click.Context, output: str) -> None:
    """Check that this machine can run clusters.

    Every need is tested for real. Exit code 3 when something needed is missing.
    """
    from emulator.cli.checking import doctor

    context.exit(doctor(context.ensure_object(Session).terminal, output))

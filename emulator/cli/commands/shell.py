"""`mininetes shell`."""

from __future__ import annotations

import click

from emulator.cli.params import name_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("shell", cls=Verb)
@name_option
@click.pass_context
def command(context: click.Context, name: str) -> None:
    """Mininet's own prompt in a running cluster.

    Hosts are called by their places: `shop/web ping blog/web`, `nodes`, `net`, `links`, `pingall`.
    """
    context.exit(context.ensure_object(Session).connect(name).shell())

"""`mininetes validate`."""

from __future__ import annotations

import click

from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("validate", cls=Verb)
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(allow_dash=True))
@click.pass_context
def command(context: click.Context, paths: tuple[str, ...]) -> None:
    """Check files: manifests, topologies, scenarios.

    Files, folders or - for stdin. No cluster is needed. Exit code 2 when something is wrong.
    """
    from emulator.cli.checking import validate

    context.exit(validate(context.ensure_object(Session).terminal, paths))

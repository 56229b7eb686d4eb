"""`mininetes diff`."""

from __future__ import annotations

import click

from emulator.cli.params import name_option, output_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("diff", cls=Verb)
@click.argument("node", metavar="[NODE]", required=False)
@click.option("--heal", is_flag=True, help="Have the controller put everything right, and look again.")
@name_option
@output_option("text", "json")
@click.pass_context
def command(context: click.Context, /, **asked: object) -> None:
    """Compare installed flows with what was computed.

    Tells flows that are missing, too many, or altered, with stage and owner. The controller puts missing
    ones back by itself within a second or so; what somebody altered stays until --heal. Exit code 1 when
    something differs.

    \b
    mininetes diff
    mininetes diff worker-2 --heal
    """
    from emulator.cli.flowtables import show_drift

    session = context.ensure_object(Session)
    context.exit(show_drift(session, **asked))  # type: ignore[arg-type]

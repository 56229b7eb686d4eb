"""`mininetes diff`."""

from __future__ import annotations

import click

from emulator.cli.params import name_option, output_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("diff", cls=Verb)
@click.argument("node", metavar="[NODE]", required=False)
@click.option("--heal", is_flag=True, help="Put right what differs, and look again.")
@name_option
@output_option("text", "json")
@click.pass_context
def command(context: click.Context, /, **asked: object) -> None:
    """Compare what is installed with what was computed.

    Tells flows that are missing, too many, or altered, with stage and owner; so for meters and groups; and
    so for the kernel's part: links, addresses, MTUs, routes, routing rules, neighbours, VXLAN forwarding
    entries, sysctls, ports of Open vSwitch, and what BGP routers have learned. What an active fault has
    made bears its name; --heal clears such a fault, too. What the controller has put right by itself in the
    last ten minutes is told as repaired. Exit code 1 when something differs.

    \b
    mininetes diff
    mininetes diff worker-2 --heal
    """
    from emulator.cli.flowtables import show_drift

    session = context.ensure_object(Session)
    context.exit(show_drift(session, **asked))  # type: ignore[arg-type]

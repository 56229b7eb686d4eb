"""`mininetes trace`."""

from __future__ import annotations

import click

from emulator.cli.params import (
    PLACE,
    family_option,
    name_option,
    namespace_option,
    output_option,
    port_option,
)
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("trace", cls=Verb)
@click.argument("source", metavar="FROM", type=PLACE)
@click.argument("target", metavar="TO", type=PLACE)
@port_option
@family_option
@click.option("--reply", is_flag=True, help="The answer's way, too, hop by hop.")
@click.option("--detail", "depth", flag_value="detail", help="Every flow, with priority, match and actions.")
@click.option("--minimal", "depth", flag_value="minimal", help="Only what changes or delivers the packet.")
@click.option("--live", is_flag=True, help="Send a real packet as well, and compare.")
@namespace_option
@name_option
@output_option("text", "json", "mermaid")
@click.pass_context
def command(context: click.Context, /, **asked: object) -> None:
    """Follow a packet through the flow tables, there and back.

    The switches on the way say what they would do with a new connection from FROM to TO; no packet is
    sent, unless --live is given. Places are those of `mininetes probe`. Exit code 1 with --live when trace
    and packet disagree.

    \b
    mininetes trace shop/web svc/shop/db:5432/tcp
    mininetes trace ext/client node/worker-1 --port 30080/tcp --reply
    mininetes trace shop/web //db.shop --port 5432/tcp -o mermaid
    """
    from emulator.cli.tracing import Question, ask

    session = context.ensure_object(Session)
    context.exit(ask(session, Question(**asked)))  # type: ignore[arg-type]

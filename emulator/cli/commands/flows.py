"""`mininetes flows`."""

from __future__ import annotations

import click

from emulator.cli.params import name_option, output_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("flows", cls=Verb)
@click.argument("node", metavar="[NODE]", required=False)
@click.option("--owner", metavar="OWNER", help="Only flows of an owner: Service/shop/db, or a part of it.")
@click.option("--stage", metavar="STAGE", help="Only flows of a stage: EndpointDNAT, or its table's number.")
@name_option
@output_option("text", "json")
@click.pass_obj
def command(session: Session, /, **asked: object) -> None:
    """List installed flows by stage, with their owners.

    NODE is a node or a router: worker-1, router/fabric. Stages are those of docs/pipeline.md.

    \b
    mininetes flows worker-1 --stage EndpointDNAT
    mininetes flows --owner Service/shop/db
    """
    from emulator.cli.flowtables import FlowQuestion, show_flows

    show_flows(session, FlowQuestion(**asked))  # type: ignore[arg-type]

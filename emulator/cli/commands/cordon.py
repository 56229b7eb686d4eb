"""`mininetes cordon`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("cordon", cls=Verb)
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...", type=Completed("nodes"))
@name_option
@click.pass_obj
def command(session: Session, nodes: tuple[str, ...], name: str) -> None:
    """Keep new pods from a node.

    \b
    mininetes cordon worker-2
    """
    from emulator.cli.maintaining import cordon

    cordon(session, name, nodes)

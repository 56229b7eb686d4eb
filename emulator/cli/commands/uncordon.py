"""`mininetes uncordon`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("uncordon", cls=Verb)
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...", type=Completed("nodes"))
@name_option
@timeout_option("60s", "How long to wait for pods that waited for a node.")
@click.pass_obj
def command(session: Session, nodes: tuple[str, ...], name: str, timeout: float) -> None:
    """Let a node have pods again.

    \b
    mininetes uncordon worker-2
    """
    from emulator.cli.maintaining import uncordon

    uncordon(session, name, nodes, timeout=timeout)

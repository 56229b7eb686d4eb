"""`mininetes rollout`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, namespace_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("rollout", cls=Verb)
@click.argument("action", type=click.Choice(["restart", "status"]))
@click.argument("words", nargs=-1, required=True, metavar="KIND NAME", type=Completed("kinds_and_names"))
@namespace_option
@name_option
@timeout_option("60s", "How long to wait until the rollout is done.")
@click.pass_obj
def command(
    session: Session, action: str, words: tuple[str, ...], namespace: str, name: str, timeout: float
) -> None:
    """Restart a workload, or wait for its rollout.

    \b
    mininetes rollout restart deploy/web
    """
    from emulator.cli.changing import rollout

    rollout(session, name, action, words, namespace=namespace, timeout=timeout)

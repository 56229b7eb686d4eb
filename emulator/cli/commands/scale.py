"""`mininetes scale`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, namespace_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("scale", cls=Verb)
@click.argument("words", nargs=-1, required=True, metavar="KIND NAME", type=Completed("kinds_and_names"))
@click.option("--replicas", type=click.IntRange(0), required=True, metavar="N", help="How many pods to run.")
@namespace_option
@name_option
@timeout_option("60s", "How long to wait until they run.")
@click.pass_obj
def command(
    session: Session, words: tuple[str, ...], replicas: int, namespace: str, name: str, timeout: float
) -> None:
    """Change the number of replicas of a workload.

    \b
    mininetes scale deploy/web --replicas 5
    """
    from emulator.cli.changing import scale

    scale(session, name, words, replicas, namespace=namespace, timeout=timeout)

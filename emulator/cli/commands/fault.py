"""`mininetes fault`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, output_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("fault", cls=Verb)
@click.argument("action", type=click.Choice(["list", "inject", "clear"]))
@click.argument("words", nargs=-1, metavar="[FAULT [ARGUMENT]...]", type=Completed("faults"))
@click.option("--seed", type=click.IntRange(0), metavar="N", help="What random choices of a fault follow.")
@name_option
@timeout_option("60s", "How long clear waits until the cluster has settled.")
@output_option("text", "json")
@click.pass_obj
def command(
    session: Session,
    action: str,
    words: tuple[str, ...],
    seed: int | None,
    name: str,
    timeout: float,
    output: str,
) -> None:
    """Make something fail for real, and undo it.

    `list` shows what can fail and what does now, `list FAULT` all about one. Arguments are words in the
    order that it shows, or NAME=VALUE. `clear` undoes faults by name or kind, and all of them without.

    \b
    mininetes fault list
    mininetes fault inject node-down worker-2
    mininetes fault clear node-down
    """
    from emulator.cli import faulting

    match action:
        case "list":
            faulting.show(session, name, words, output)
        case "inject":
            faulting.inject(session, name, words, seed, output)
        case _:
            faulting.clear(session, name, words, timeout, output)

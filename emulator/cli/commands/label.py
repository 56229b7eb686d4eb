"""`mininetes label`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, namespace_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("label", cls=Verb)
@click.argument("words", nargs=-1, required=True, metavar="KIND NAME KEY=VALUE|KEY-...",
                type=Completed("kinds_and_names"))  # fmt: skip
@namespace_option
@name_option
@timeout_option("60s", "How long to wait until the change is in force.")
@click.pass_obj
def command(session: Session, words: tuple[str, ...], namespace: str, name: str, timeout: float) -> None:
    """Set or remove labels of an object.

    \b
    mininetes label pod web-0 tier=front debug-      sets tier, removes debug
    """
    from emulator.cli.changing import label

    label(session, name, words, namespace=namespace, timeout=timeout)

"""`mininetes delete`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, files_option, name_option, namespace_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("delete", cls=Verb)
@click.argument("words", nargs=-1, metavar="[KIND NAME...]", type=Completed("kinds_and_names"))
@files_option
@namespace_option
@name_option
@timeout_option("60s", "How long to wait until the objects are gone.")
@click.pass_obj
def command(
    session: Session,
    words: tuple[str, ...],
    files: tuple[str, ...],
    namespace: str,
    name: str,
    timeout: float,
) -> None:
    """Delete objects, by manifest or by name.

    \b
    mininetes delete -f shop.yaml          mininetes delete pod web-0 -n shop
    """
    from emulator.cli.changing import delete

    delete(session, name, words, files, namespace=namespace, timeout=timeout)

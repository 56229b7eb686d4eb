"""`mininetes apply`."""

from __future__ import annotations

import click

from emulator.cli.params import files_option, name_option, namespace_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("apply", cls=Verb)
@files_option
@namespace_option
@name_option
@timeout_option("60s", "How long to wait until the change is in force.")
@click.pass_obj
def command(session: Session, files: tuple[str, ...], namespace: str, name: str, timeout: float) -> None:
    """Create or change objects from manifests.

    Returns when the change is in force: flows installed, pods ready.
    """
    from emulator.cli.changing import apply

    apply(session, name, files, namespace=namespace, timeout=timeout)

"""`mininetes patch`."""

from __future__ import annotations

from typing import TextIO

import click

from emulator.cli.params import Completed, name_option, namespace_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("patch", cls=Verb)
@click.argument("words", nargs=-1, required=True, metavar="KIND NAME", type=Completed("kinds_and_names"))
@click.option("-p", "--patch", "text", metavar="PATCH", help="The patch, in JSON or YAML.")
@click.option("--patch-file", type=click.File("r"), metavar="FILE", help="A file with the patch.")
@click.option(
    "--type", "how", type=click.Choice(["strategic", "merge", "json"]), default="strategic",
    show_default=True, help="What a list in it means, or that it is a list of operations.",
)  # fmt: skip
@namespace_option
@name_option
@timeout_option("60s", "How long to wait until the change is in force.")
@click.pass_obj
def command(
    session: Session,
    words: tuple[str, ...],
    text: str | None,
    patch_file: TextIO | None,
    how: str,
    namespace: str,
    name: str,
    timeout: float,
) -> None:
    """Change fields of an object.

    \b
    mininetes patch svc web -p '{"spec":{"type":"NodePort"}}'
    mininetes patch svc web -p 'spec: {externalTrafficPolicy: Local}' --type merge
    """
    from emulator.cli.patching import patch

    if (text is None) == (patch_file is None):
        raise click.UsageError("say what to change: either -p PATCH or --patch-file FILE")
    said = text if patch_file is None else patch_file.read()
    patch(session, name, words, str(said), how, namespace=namespace, timeout=timeout)

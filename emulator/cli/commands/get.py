"""`mininetes get`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, namespace_option, output_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("get", cls=Verb)
@click.argument("words", nargs=-1, required=True, metavar="KIND [NAME]...", type=Completed("kinds_and_names"))
@namespace_option
@click.option("-A", "--all-namespaces", is_flag=True, help="Objects of all namespaces.")
@click.option(
    "-l", "--selector", metavar="LABELS", help="Only objects with these labels, as app=web,tier!=db."
)
@output_option("table", "wide", "json", "yaml", "name")
@name_option
@click.pass_obj
def command(
    session: Session,
    words: tuple[str, ...],
    namespace: str,
    all_namespaces: bool,  # noqa: FBT001
    selector: str | None,
    output: str,
    name: str,
) -> None:
    """List objects.

    \b
    mininetes get pods -o wide          mininetes get svc,endpointslices -n shop
    mininetes get all -A                mininetes get deploy/web -o yaml
    """
    from emulator.cli.listing import Query, show

    query = Query(words, None if all_namespaces else namespace, selector)
    show(session.connect(name), query, output, session.terminal)

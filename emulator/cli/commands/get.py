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
@click.option("-w", "--watch", "watching", is_flag=True, help="Go on with everything that changes.")
@click.option("--output-watch-events", "events", is_flag=True, help="With -w: say what happened, too.")
@output_option("table", "wide", "json", "yaml", "name")
@name_option
@click.pass_obj
def command(
    session: Session,
    words: tuple[str, ...],
    namespace: str,
    all_namespaces: bool,  # noqa: FBT001
    selector: str | None,
    watching: bool,  # noqa: FBT001
    events: bool,  # noqa: FBT001
    output: str,
    name: str,
) -> None:
    """List objects.

    \b
    mininetes get pods -o wide          mininetes get svc,endpointslices -n shop
    mininetes get all -A                mininetes get deploy/web -o yaml
    mininetes get pods -w               mininetes get endpointslices -w -o json
    """
    from emulator.cli.listing import Query, show

    query = Query(words, None if all_namespaces else namespace, selector)
    if events and not watching:
        raise click.UsageError("--output-watch-events goes with -w")
    if watching:
        from emulator.cli.watching import watch

        watch(session.connect(name), query, output, session.terminal, with_events=events)
        return
    show(session.connect(name), query, output, session.terminal)

"""`mininetes get`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, GetFormat, name_option, namespace_option
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
@click.option(
    "-o",
    "--output",
    type=GetFormat(["table", "wide", "json", "yaml", "name"]),
    default="table",
    help="Form of the result.",
)
@click.option("--no-headers", is_flag=True, help="Tables without their first line.")
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
    no_headers: bool,  # noqa: FBT001
    name: str,
) -> None:
    """List objects.

    \b
    mininetes get pods -o wide          mininetes get svc,endpointslices -n shop
    mininetes get all -A                mininetes get deploy/web -o yaml
    mininetes get pods -w               mininetes get endpointslices -w -o json
    mininetes get svc web -o jsonpath='{.status.loadBalancer.ingress[0].ip}'
    mininetes get pods -o custom-columns=NAME:.metadata.name,IP:.status.podIP
    """
    from emulator.cli.listing import Query, show

    query = Query(words, None if all_namespaces else namespace, selector)
    if events and not watching:
        raise click.UsageError("--output-watch-events goes with -w")
    if watching and (no_headers or "=" in output):
        raise click.UsageError("-w goes with table, wide, json, yaml and name, and with headers")
    if watching:
        from emulator.cli.watching import watch

        watch(session.connect(name), query, output, session.terminal, with_events=events)
        return
    show(session.connect(name), query, output, session.terminal, headers=not no_headers)

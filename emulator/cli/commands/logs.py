"""`mininetes logs`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, namespace_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("logs", cls=Verb)
@click.argument("pod", required=False, metavar="[POD]", type=Completed("pods"))
@click.option("-c", "--container", metavar="NAME", help="Which container; the first unless said.")
@click.option("-p", "--previous", is_flag=True, help="Of the run before the last restart.")
@click.option("-f", "--follow", is_flag=True, help="Go on printing until interrupted.")
@click.option("-l", "--selector", metavar="LABELS", help="Of all pods with these labels, one by one.")
@namespace_option
@name_option
@click.pass_obj
def command(
    session: Session,
    pod: str | None,
    container: str | None,
    selector: str | None,
    namespace: str,
    name: str,
    previous: bool,  # noqa: FBT001
    follow: bool,  # noqa: FBT001
) -> None:
    """Print what a pod's container wrote."""
    from emulator.cli.entering import Writers, print_logs

    writers = Writers(pod, selector, namespace)
    print_logs(session, name, writers, container=container, previous=previous, follow=follow)

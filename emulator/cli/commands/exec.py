"""`mininetes exec`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, namespace_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("exec", cls=Verb)
@click.option("-c", "--container", metavar="NAME", help="Which container; the first unless said.")
@click.option("-i", "--stdin", is_flag=True, help="Pass stdin on (it always is; kept for kubectl's sake).")
@click.option("-t", "--tty", is_flag=True, help="On a terminal of its own.")
@namespace_option
@name_option
@click.argument("pod", type=Completed("pods"))
@click.argument("argv", nargs=-1, metavar="-- CMD [ARG]...", type=click.UNPROCESSED)
@click.pass_context
def command(
    context: click.Context,
    /,
    pod: str,
    argv: tuple[str, ...],
    container: str | None,
    namespace: str,
    name: str,
    tty: bool,  # noqa: FBT001
    **_ignored: object,
) -> None:
    """Run a command in a pod, a node, a host outside or a router.

    The exit code is the command's.

    \b
    mininetes exec -n shop web-0 -- wget -qO- http://db:8080
    mininetes exec -it deploy/web -- sh
    mininetes exec router/tor -- birdc show route
    """
    from emulator.cli.entering import run_in_pod

    session = context.ensure_object(Session)
    context.exit(run_in_pod(session, name, pod, argv, namespace=namespace, container=container, tty=tty))

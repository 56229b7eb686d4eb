"""`mininetes delete`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, files_option, name_option, namespace_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("delete", cls=Verb)
@click.argument("words", nargs=-1, metavar="[KIND NAME...]", type=Completed("kinds_and_names"))
@files_option
@click.option(
    "--grace-period", type=int, default=-1, metavar="SECONDS", help="-1 is each pod's own.  [default: -1]"
)
@click.option("--now", is_flag=True, help="As --grace-period 1.")
@click.option("--force", is_flag=True, help="Delete pods at once, as --grace-period 0.")
@click.option(
    "-l", "--selector", metavar="LABELS", help="All of a kind with these labels, as app=web,tier!=db."
)
@click.option("--all", "every", is_flag=True, help="All of a kind in the namespace.")
@namespace_option
@name_option
@timeout_option("60s", "How long to wait until the objects are gone.")
@click.pass_obj
def command(
    session: Session,
    words: tuple[str, ...],
    files: tuple[str, ...],
    grace_period: int,
    now: bool,  # noqa: FBT001
    force: bool,  # noqa: FBT001
    selector: str | None,
    every: bool,  # noqa: FBT001
    namespace: str,
    name: str,
    timeout: float,
) -> None:
    """Delete objects, by manifest or by name.

    \b
    mininetes delete -f shop.yaml          mininetes delete pod web-0 -n shop
    mininetes delete pods -l app=web       mininetes delete deployments --all
    """
    from emulator.cli.changing import Doomed, delete

    if grace_period >= 0 and (now or (force and grace_period)):
        raise click.UsageError("--now and --force say how long the grace period is: leave --grace-period out")
    grace = 0 if force else 1 if now else None if grace_period < 0 else grace_period
    if every and selector is not None:
        raise click.UsageError("--all or -l LABELS, not both")
    wanted = Doomed(words, files, namespace, "" if every else selector)
    delete(session, name, wanted, timeout=timeout, grace=grace)

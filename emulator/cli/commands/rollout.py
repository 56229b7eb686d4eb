"""`mininetes rollout`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, namespace_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb

_ACTIONS = ("history", "pause", "restart", "resume", "status", "undo")


@click.command("rollout", cls=Verb)
@click.argument("action", type=click.Choice(_ACTIONS))
@click.argument("words", nargs=-1, required=True, metavar="KIND NAME", type=Completed("kinds_and_names"))
@click.option(
    "--revision",
    "--to-revision",
    type=click.IntRange(1),
    metavar="N",
    help="Which one to show (history) or to go back to (undo); the one before unless said.",
)
@namespace_option
@name_option
@timeout_option("60s", "How long to wait until the rollout is done.")
@click.pass_obj
def command(
    session: Session,
    action: str,
    words: tuple[str, ...],
    revision: int | None,
    namespace: str,
    name: str,
    timeout: float,
) -> None:
    """Restart a workload, follow its rollout, or undo it.

    \b
    mininetes rollout status deploy/web        mininetes rollout restart ds/agent
    mininetes rollout history deploy/web       mininetes rollout undo deploy/web --to-revision 1
    """
    from emulator.cli.rolling import rollout

    rollout(session, name, action, words, revision=revision or 0, namespace=namespace, timeout=timeout)

"""`mininetes drain`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, name_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("drain", cls=Verb)
@click.argument("nodes", nargs=-1, required=True, metavar="NODE...", type=Completed("nodes"))
@click.option("--ignore-daemonsets", is_flag=True, help="Leave pods of DaemonSets where they are.")
@click.option("--force", is_flag=True, help="Evict pods that no controller will replace, too.")
@click.option("--delete-emptydir-data", is_flag=True, help="Evict pods that lose an emptyDir, too.")
@click.option(
    "--grace-period", type=int, default=-1, metavar="SECONDS", help="-1 is each pod's own.  [default: -1]"
)
@click.option("--pod-selector", metavar="LABELS", help="Evict only pods with these labels.")
@name_option
@timeout_option("60s", "How long to wait until the pods run elsewhere.")
@click.pass_obj
def command(
    session: Session,
    nodes: tuple[str, ...],
    ignore_daemonsets: bool,  # noqa: FBT001
    force: bool,  # noqa: FBT001
    delete_emptydir_data: bool,  # noqa: FBT001
    grace_period: int,
    pod_selector: str | None,
    name: str,
    timeout: float,
) -> None:
    """Cordon a node and move its pods elsewhere.

    \b
    mininetes drain worker-2 --ignore-daemonsets
    """
    from emulator.cli.maintaining import drain
    from emulator.cluster.drain import DrainOptions

    drain(
        session,
        name,
        nodes,
        DrainOptions(ignore_daemonsets, force, delete_emptydir_data),
        selector=pod_selector,
        grace=None if grace_period < 0 else grace_period,
        timeout=timeout,
    )

"""`mininetes up`."""

from __future__ import annotations

import click

from emulator.cli.params import Completed, families_option, files_option, name_option, timeout_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("up", cls=Verb)
@click.argument("topology", default="three-node", type=Completed("topologies"))
@files_option
@name_option
@click.option("--nodes", type=click.IntRange(1), metavar="N", help="Size the topology to N nodes.")
@families_option
@click.option(
    "--offload", is_flag=True, help="Segmentation offload: more throughput, fewer packets to look at."
)
@click.option("--datapath", type=click.Choice(["netdev", "kernel"]), default="netdev", show_default=True,
              help="Open vSwitch in user space, or through its kernel module.")  # fmt: skip
@timeout_option("60s", "How long to wait until everything is ready.")
@click.pass_obj
def command(
    session: Session, /, topology: str, files: tuple[str, ...], timeout: float, **options: object
) -> None:
    """Start a cluster that stays.

    TOPOLOGY is a name or a file; three-node unless said. Returns when the network is in force
    and every pod is ready, or says what is missing (exit 1).

    \b
    mininetes up -f shop.yaml                  mininetes up leaf-spine --nodes 12
    mininetes up three-node --families IPv6
    """
    from emulator.cli.starting import start

    start(session, topology, files, timeout=timeout, options=options)

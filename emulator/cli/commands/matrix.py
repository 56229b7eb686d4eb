"""`mininetes matrix`."""

from __future__ import annotations

import click

from emulator.cli.params import DURATION, PORT, name_option, output_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("matrix", cls=Verb)
@click.option(
    "--port", "ports", type=PORT, multiple=True, metavar="PORT",
    help="As 80/tcp, 53/udp, 5060/sctp; may be repeated.  [default: 80/tcp]",
)  # fmt: skip
@click.option(
    "-n", "--namespace", "namespaces", multiple=True, metavar="NS",
    help="Pods of this namespace only; may be repeated. Without: of all but kube-system.",
)  # fmt: skip
@click.option("-A", "--all-namespaces", "everywhere", is_flag=True, help="Pods of kube-system, too.")
@click.option("--nodes", is_flag=True, help="The nodes, too.")
@click.option("--external", is_flag=True, help="The hosts outside the cluster, too.")
@click.option("--trace", "traced", is_flag=True, help="Ask the flow tables, too: a third opinion.")
@click.option("--family", type=click.Choice(["4", "6"]), help="IPv4 or IPv6.  [default: the primary one]")
@click.option("--timeout", type=DURATION, help="Silence for so long is a drop where it is not known sooner.")
@click.option("--report", metavar="junit=FILE", help="Write the pairs as test cases.")
@name_option
@output_option("table", "json", "csv")
@click.pass_context
def command(context: click.Context, /, **asked: object) -> None:
    """Probe every pair of pods, and show who reaches whom.

    Rows send, columns receive. Exit code 1 when a packet did not fare as the objects say, or a probe
    failed.

    \b
    mininetes matrix --port 80/tcp --port 53/udp
    mininetes matrix -n shop -n blog --nodes --external
    mininetes matrix -o csv
    """
    from emulator.cli.sweeping import Wish, show

    session = context.ensure_object(Session)
    context.exit(show(session, Wish(**asked)))  # type: ignore[arg-type]

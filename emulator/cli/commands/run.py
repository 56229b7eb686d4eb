"""`mininetes run`."""

from __future__ import annotations

import click

from emulator.cli.params import DURATION, Completed, families_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("run", cls=Verb)
@click.argument("paths", nargs=-1, required=True, metavar="PATH...", type=Completed("scenarios"))
@click.option("--report", "reports", multiple=True, metavar="FORM[=FILE]",
              help="junit=F, json=F, html=F or github; repeatable.")  # fmt: skip
@click.option("--fail-fast", is_flag=True, help="Stop after the first scenario that does not pass.")
@click.option("--keep-going", is_flag=True, help="Go on with a scenario's next step after one that failed.")
@click.option("--keep", is_flag=True, help="Leave the last cluster running, to look around.")
@click.option("--timeout", type=DURATION, default="120s", show_default=True, help="For each scenario.")
@click.option("--seed", type=int, metavar="N", help="Recorded in the reports; chosen when not given.")
@click.option(
    "--topology",
    metavar="NAME|FILE",
    type=Completed("topologies"),
    help="Another topology than the scenario's.",
)
@families_option
@click.pass_context
def command(context: click.Context, /, paths: tuple[str, ...], **options: object) -> None:
    """Run scenarios: up, steps, verdicts, down.

    PATH is a scenario's folder or file, a folder of scenarios, or a name under scenarios/.
    Every scenario gets a fresh cluster of its own. Exit code 0 when all passed, 1 when the
    network did not behave as expected.

    \b
    mininetes run guestbook
    mininetes run modes --report junit=junit.xml --report github
    """
    from emulator.cli.running import Run, run

    session = context.ensure_object(Session)
    context.exit(run(session, paths, Run(**options)))  # type: ignore[arg-type]

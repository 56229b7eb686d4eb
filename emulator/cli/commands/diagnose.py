"""`mininetes diagnose`."""

from __future__ import annotations

import click

from emulator.cli.params import (
    DURATION,
    PLACE,
    PORT,
    family_option,
    name_option,
    namespace_option,
    output_option,
    port_option,
)
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("diagnose", cls=Verb)
@click.argument("source", metavar="FROM", type=PLACE)
@click.argument("target", metavar="TO", type=PLACE)
@click.argument("at", metavar="[PORT]", type=PORT, required=False)
@port_option
@click.option("--http", metavar="URL", help="Speak HTTP or HTTPS: a URL, or a path such as /hostname.")
@family_option
@click.option("--expect", type=click.Choice(["connected", "dropped", "rejected"]), metavar="OUTCOME",
              help="What should happen. Without: what the manifests say.")  # fmt: skip
@click.option("--timeout", type=DURATION, help="Silence for so long is a drop.")
@namespace_option
@name_option
@output_option("text", "json", "yaml")
@click.pass_context
def command(context: click.Context, /, **asked: object) -> None:
    """Say why a packet fares as it does, and what to change.

    Asks four: what Kubernetes says should happen (spec), what the installed flows do (trace), what real
    packets do (wire), and whether the network is as it was computed (drift). Names the first that differs,
    the cause, and the fix. Places are those of `mininetes probe`. Exit code 1 when it does not fare as
    expected.

    \b
    mininetes diagnose shop/web svc/shop/db 5432/tcp
    mininetes diagnose shop/web //db.shop --port 5432/tcp
    mininetes diagnose ext/client svc/ingress-nginx/ingress-nginx-controller:80 --http http://shop.example/cart
    """
    from emulator.cli.diagnosing import Question, ask

    session = context.ensure_object(Session)
    context.exit(ask(session, Question(**asked)))  # type: ignore[arg-type]

"""`mininetes probe`."""

from __future__ import annotations

import click

from emulator.cli.params import (
    DURATION,
    PLACE,
    family_option,
    name_option,
    namespace_option,
    output_option,
    port_option,
)
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("probe", cls=Verb)
@click.argument("source", metavar="FROM", type=PLACE)
@click.argument("target", metavar="[TO]", type=PLACE, required=False)
@port_option
@click.option(
    "--count", type=click.IntRange(1), default=1, metavar="N", help="Connections to make.  [default: 1]"
)
@click.option(
    "--http",
    metavar="URL",
    help="Speak HTTP or HTTPS: a URL, or a path such as /hostname. A URL's host is TO, unless that is given.",
)
@family_option
@click.option("--expect", type=click.Choice(["connected", "dropped", "rejected"]), metavar="OUTCOME",
              help="What should happen: connected, dropped or rejected.")  # fmt: skip
@click.option("--timeout", type=DURATION, help="Silence for so long is a drop.")
@namespace_option
@name_option
@output_option("text", "json", "yaml")
@click.pass_context
def command(context: click.Context, /, **asked: object) -> None:
    """Send real traffic and say what became of it.

    FROM and TO are places: shop/web (a pod), deploy/shop/web, svc/shop/db, node/worker-1,
    ext/client, an IP address, a DNS name (//db where it has no dot), which is looked up as programs
    at FROM do. Exit code 1 when the outcome is not the expected one.

    \b
    mininetes probe shop/web svc/shop/db:5432/tcp
    mininetes probe ext/client node/worker-1 --port 30080/tcp --count 300
    mininetes probe shop/web ext/server --expect dropped
    mininetes probe shop/web --http http://db.shop/hostname
    mininetes probe ext/client node/worker-1:30443 --http https://shop.example/cart
    """
    from emulator.cli.probing import Question, ask

    session = context.ensure_object(Session)
    context.exit(ask(session, Question(**asked)))  # type: ignore[arg-type]

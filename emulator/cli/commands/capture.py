"""`mininetes capture`."""

from __future__ import annotations

import click

from emulator.cli.params import DURATION, PLACE, name_option, namespace_option, output_option
from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("capture", cls=Verb)
@click.argument("places", nargs=-1, required=True, metavar="PLACE...", type=PLACE)
@click.option("-w", "--write", type=click.Path(dir_okay=False, writable=True), metavar="FILE",
              help="Write pcapng to FILE.")  # fmt: skip
@click.option("--for", "seconds", type=DURATION, metavar="TIME", help="Stop after TIME, as 10s.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="Stop after N packets.")
@click.option(
    "--filter", "expression", default="", metavar="EXPR", help="Only such packets, as tcpdump writes it."
)
@namespace_option
@name_option
@output_option("text", "json")
@click.pass_obj
def command(session: Session, /, **asked: object) -> None:
    """Capture packets at any place.

    Until Ctrl-C unless --for or --count says otherwise.

    \b
    mininetes capture shop/web node/worker-1 -w both.pcapng --for 10s
    mininetes capture node/worker-2 --filter 'udp port 4789' --count 4
    """
    from emulator.cli.capturing import Wish, capture

    capture(session, Wish(**asked))  # type: ignore[arg-type]

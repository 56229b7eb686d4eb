"""`mininetes completion`."""

from __future__ import annotations

import click

from emulator.cli.session import Session
from emulator.cli.verb import Verb


@click.command("completion", cls=Verb)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print the shell completion script.

    \b
    bash   source <(mininetes completion bash)
    zsh    source <(mininetes completion zsh)
    fish   mininetes completion fish | source
    """
    from click.shell_completion import get_completion_class

    root = context.find_root()
    completer = get_completion_class(shell)
    assert completer is not None
    script = completer(root.command, {}, root.info_name or "mininetes", "_MININETES_COMPLETE")
    context.ensure_object(Session).terminal.out(script.source())

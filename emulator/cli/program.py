"""The program: its commands by section, its shared options, and where every error ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

import click
from click.exceptions import NoSuchCommand

from emulator.cli import boundary
from emulator.cli.session import Session
from emulator.cli.verb import COMMON, common_options

SECTIONS: dict[str, dict[str, str]] = {
    "Clusters": {
        "up": "Start a cluster that stays.",
        "down": "Stop a cluster; nothing is left of it.",
        "run": "Run scenarios: up, steps, verdicts, down.",
        "shell": "Mininet's own prompt in a running cluster.",
    },
    "Objects": {
        "apply": "Create or change objects from manifests.",
        "delete": "Delete objects, by manifest or by name.",
        "get": "List objects.",
        "describe": "Show one object in full, with its events.",
        "scale": "Change the number of replicas of a workload.",
        "patch": "Change fields of an object.",
        "label": "Set or remove labels of an object.",
        "rollout": "Restart a workload, follow its rollout, or undo it.",
        "cordon": "Keep new pods from a node.",
        "uncordon": "Let a node have pods again.",
        "drain": "Cordon a node and move its pods elsewhere.",
        "exec": "Run a command in a pod, a node, a host outside or a router.",
        "logs": "Print what a pod's container wrote.",
    },
    "Packets": {
        "probe": "Send real traffic and say what became of it.",
        "trace": "Follow a packet through the flow tables, there and back.",
        "diagnose": "Say why a packet fares as it does, and what to change.",
        "matrix": "Probe every pair of pods, and show who reaches whom.",
        "capture": "Capture packets at any place.",
        "flows": "List installed flows by stage, with their owners.",
        "diff": "Compare what is installed with what was computed.",
        "fault": "Make something fail for real, and undo it.",
    },
    "Files and machine": {
        "validate": "Check files: manifests, topologies, scenarios.",
        "doctor": "Check that this machine can run clusters.",
        "completion": "Print the shell completion script.",
        "version": "Print the version.",
    },
}
_SUMMARIES = {name: text for section in SECTIONS.values() for name, text in section.items()}


class Program(click.Group):
    """A group whose commands are imported when they are asked for, not before."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """All commands, in the order of their sections."""
        return list(_SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command called `cmd_name`, from the module of that name."""
        if cmd_name not in _SUMMARIES:
            return None
        command = import_module(f"emulator.cli.commands.{cmd_name}").command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is answered with the nearest names."""
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as unknown:
            raise NoSuchCommand(unknown.command_name, possibilities=_SUMMARIES, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands section by section; no command module is imported for it."""
        for section, summaries in SECTIONS.items():
            with formatter.section(section):
                formatter.write_dl([(name, text) for name, text in summaries.items()], col_max=12)

    def main(  # type: ignore[override]  # click's overloads promise a value in non-standalone mode
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        **extra: Any,
    ) -> NoReturn:
        """Serve one command line and exit; every error becomes a message and a code."""
        name = prog_name or "mininetes"
        arguments = list(sys.argv[1:] if args is None else args)
        extra.pop("standalone_mode", None)
        extra.pop("windows_expand_args", None)
        self._main_shell_completion(extra, name, complete_var or "_MININETES_COMPLETE")
        sys.exit(boundary.guard(lambda: self._serve(name, arguments, extra), verbosity=_verbosity(arguments)))

    def _serve(self, name: str, arguments: list[str], extra: dict[str, Any]) -> None:
        with self.make_context(name, arguments, **extra) as context:
            self.invoke(context)


def _verbosity(arguments: Sequence[str]) -> int:
    """How often -v was given, read before click reads it: its own errors are reported too."""
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return sum(
        1 if word == "--verbose" else word.count("v")
        for word in own
        if word == "--verbose" or (word[:1] == "-" and set(word[1:]) == {"v"})
    )


def _tell_version(context: click.Context, _: click.Parameter, value: Any) -> None:
    if value:
        from emulator.cli.about import version

        click.echo(f"mininetes {version()}")
        context.exit()


@click.command(
    "mininetes",
    cls=Program,
    params=common_options(),
    context_settings={
        "auto_envvar_prefix": "MININETES",
        "help_option_names": ["-h", "--help"],
        "max_content_width": 110,
    },
    epilog="First steps: mininetes doctor, mininetes run guestbook, mininetes up, mininetes probe --help.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_tell_version,
    help="Print the version.",
)
@click.pass_context
def program(context: click.Context, /, **_common: Any) -> None:
    """The Kubernetes network model on one Linux machine, with real packets and no Kubernetes.

    \b
    Exit codes: 0 as expected, 1 the network did not behave as expected, 2 usage or an invalid
    file, 3 this machine cannot run it, 4 a bug of ours, 130 interrupted.
    """
    if not isinstance(context.obj, Session):
        context.obj = Session()
    context.meta[COMMON] = _common

"""Writes docs/cli.md from the commands themselves.

`python -m emulator.cli.reference` prints the page; a test holds the committed one to it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence

import click

from emulator.cli.program import SECTIONS, program
from emulator.cli.verb import common_options

_INTRODUCTION = """# The command line

*Generated from the commands by `python -m emulator.cli.reference`; a test keeps it current.*

    mininetes COMMAND [OPTIONS] ARGUMENTS

Results go to stdout, progress and messages to stderr. `NO_COLOR`, pipes and `TERM=dumb` are honoured.
Every option is also an environment variable, named beside it; what stands on the command line wins.
[machine-readable.md](machine-readable.md) has the exit codes and the JSON that `-o json` prints,
[glossary.md](glossary.md#places) what counts as a place. `mininetes completion SHELL` prints a completion
script.

## Options of every command

They may stand before the command's name, too.
"""


def page() -> str:
    """The page: every command, section by section."""
    return "\n".join([_INTRODUCTION, *_table(common_options(), None), *_commands()]) + "\n"


def _commands() -> Iterator[str]:
    context = click.Context(program, info_name="mininetes", auto_envvar_prefix="MININETES")
    for section, summaries in SECTIONS.items():
        yield from ("", f"## {section}")
        for name in summaries:
            command = program.get_command(context, name)
            assert command is not None
            yield from ("", f"### {name}", "")
            yield from _command(command, click.Context(command, parent=context, info_name=name))


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    yield f"    {command.get_usage(context).removeprefix('Usage: ')}"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        verbatim = paragraph.startswith("\b\n")
        yield ""
        if verbatim:
            yield from ("```console", *paragraph.splitlines()[1:], "```")
        else:
            yield " ".join(paragraph.split())
    shared = {option.name for option in common_options()}
    own = [one for one in command.params if isinstance(one, click.Option) and one.name not in shared]
    if own:
        yield ""
        yield from _table(own, context)


def _table(options: Sequence[click.Parameter], context: click.Context | None) -> Iterator[str]:
    yield from ("| option | meaning | variable |", "|---|---|---|")
    for option in options:
        assert isinstance(option, click.Option)
        option.show_envvar = True
        record = option.get_help_record(context or click.Context(program))
        assert record is not None
        meaning, variable = _told(record[1])
        yield f"| `{record[0].replace('|', chr(92) + '|')}` | {meaning} | `{variable}` |"


def _told(text: str) -> tuple[str, str]:
    """Click's own line about an option, taken apart: what it means, and its environment variable."""
    meaning, _, brackets = text.partition("[env var: ")
    variable, _, more = brackets.rstrip("]").partition("; ")
    meaning = " ".join(meaning.split()).replace("|", r"\|")
    more = more.replace("|", r"\|")
    return (f"{meaning} [{more}]" if more else meaning), variable


if __name__ == "__main__":
    print(page(), end="")

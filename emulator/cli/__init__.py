"""The command line: one click file a command, and no logic in them.

Importing this room is cheap on purpose; everything a command needs is imported when it runs.
"""

from __future__ import annotations


def main() -> None:
    """Run the command line on `sys.argv` and exit with its code."""
    from emulator.cli.program import program

    program.main(prog_name="mininetes")

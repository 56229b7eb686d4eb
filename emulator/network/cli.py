"""Mininet's prompt, for hosts that are named by places and for input that comes from a pipe."""

# ruff: noqa: N802 - the names of overridden methods are Mininet's

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable
from typing import Any, TextIO

from emulator.network.errors import NetworkError
from emulator.network.kubenet import KubeNet
from emulator.network.mn import CLI, Node, log_error, log_output, logger


class PlaceCLI(CLI):  # type: ignore[misc]
    """The prompt. `refresh` is called before each command, so that pods come and go while it is open."""

    identchars = CLI.identchars + "/-."

    def __init__(self, net: KubeNet, refresh: Callable[[], None], stdin: TextIO = sys.stdin) -> None:
        self._refresh = refresh
        if not stdin.isatty():
            self.prompt = ""
        super().__init__(net, stdin=stdin)

    @classmethod
    def initReadline(cls) -> None:
        """Line editing without Mininet's history file: nothing is written outside the run directory."""
        with contextlib.suppress(ImportError):
            import readline

            readline.set_completer_delims(" ")

    def precmd(self, line: str) -> str:
        """Look for pods that came or went."""
        self._refresh()
        return str(super().precmd(line))

    def onecmd(self, line: str) -> Any:
        """Do one command; what the network refuses ends the command, not the prompt."""
        try:
            return super().onecmd(line)
        except (NetworkError, OSError) as error:
            log_error(f"*** {error}\n")
            return False

    def do_EOF(self, line: str) -> Any:
        """Exit"""
        return super().do_EOF(line) if self.isatty() else self.do_exit(line)

    def completenames(self, text: str, *ignored: Any) -> list[str]:
        """Commands, and places to give one to."""
        return [*super().completenames(text, *ignored), *self.completedefault(text)]

    def completedefault(self, text: str, *_ignored: Any) -> list[str]:
        """Places and bridges."""
        return [name for name in self.mn if name.startswith(text)]

    def waitForNode(self, node: Node) -> None:
        """Print a command's output as it comes.

        What a user types meanwhile goes to the command; lines of a script are the prompt's own.
        """
        if self.isatty():
            super().waitForNode(node)
            return
        while node.waiting:
            log_output(node.monitor())


def print_to_stdout() -> None:
    """Mininet writes everything to stderr; here answers go to stdout and complaints stay where they were."""
    complaints = logger.handlers[0]
    answers = type(complaints)(sys.stdout)
    answers.setFormatter(complaints.formatter)
    answers.addFilter(lambda record: record.levelno < logging.WARNING)
    complaints.addFilter(lambda record: record.levelno >= logging.WARNING)
    logger.addHandler(answers)

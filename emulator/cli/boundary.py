"""The one place where errors end: what it was, where, what to do next, and an exit code.

No room's exceptions are imported here (that would cost every command their import); they are
known by name, or say their code themselves in an attribute `exit_code`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress

import click

from emulator.cli.exits import ExitCode

_CODES: dict[str, ExitCode] = {
    "emulator.api.client.ClusterUnreachableError": ExitCode.BUG,
    "emulator.api.load.ManifestError": ExitCode.USAGE,
    "emulator.cluster.specs.TopologyError": ExitCode.USAGE,
    "emulator.engine.results.ClusterError": ExitCode.USAGE,
    "emulator.sandbox.errors.SandboxError": ExitCode.CANNOT_RUN,
    "emulator.cluster.places.PlaceError": ExitCode.USAGE,
    "subprocess.TimeoutExpired": ExitCode.NOT_AS_EXPECTED,
}
"""Errors of the user's making, and of the machine's; anything else is ours."""


def guard(serve: Callable[[], None], *, verbosity: int) -> int:
    """Run `serve`; turn whatever it raises into a message on stderr and an exit code."""
    try:
        serve()
        sys.stdout.flush()
    except click.exceptions.Exit as ended:
        return _flushed(ended.exit_code)
    except (KeyboardInterrupt, click.exceptions.Abort):
        click.echo("interrupted", err=True)
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        return _reader_left()
    except click.ClickException as wrong:
        wrong.show()
        return ExitCode.USAGE
    except Exception as error:
        return _report(error, verbosity)
    return ExitCode.AS_EXPECTED


def exit_code(error: BaseException) -> ExitCode | None:
    """The exit code that an error stands for; None when it is nobody's but ours."""
    own = getattr(error, "exit_code", None)
    if isinstance(own, int):
        return ExitCode(own)
    names = [f"{kind.__module__}.{kind.__qualname__}" for kind in type(error).__mro__]
    if "emulator.api.errors.ApiError" in names:
        refused = getattr(error, "code", 500) < 500
        return ExitCode.USAGE if refused else None
    return next((_CODES[name] for name in names if name in _CODES), None)


def _report(error: Exception, verbosity: int) -> int:
    if verbosity >= 2:
        import traceback

        traceback.print_exception(error)
    code = exit_code(error)
    if code is not None:
        _tell(error)
        return code
    if isinstance(error, OSError) and error.filename is not None:
        click.echo(f"error: {error.filename}: {error.strerror}", err=True)
        return ExitCode.USAGE
    if isinstance(error, FileNotFoundError):
        click.echo(f"error: {error}", err=True)
        return ExitCode.USAGE
    said = " ".join(str(error).split())
    click.echo(f"error: a bug in mininetes: {type(error).__name__}: {said}", err=True)
    if verbosity < 2:
        click.echo(f"  the traceback is in {_save(error)} (or run again with -vv)", err=True)
    return ExitCode.BUG


def _tell(error: Exception) -> None:
    """What went wrong, the last lines of the log that tells why, and what to do next."""
    message = str(error) or type(error).__name__
    log = str(getattr(error, "log", "") or "").rstrip()
    hint = getattr(error, "hint", "")
    if log:
        click.echo("\n".join(f"  | {line}" for line in log.splitlines()), err=True)
    click.echo(message if message.startswith("error:") else f"error: {message}", err=True)
    if hint:
        click.echo(f"  {hint}", err=True)


def _save(error: Exception) -> str:
    """Keep the traceback where it does not disturb; returns the file's name."""
    import tempfile
    import traceback
    from pathlib import Path

    text = "".join(traceback.format_exception(error))
    for folder in (Path(".mininetes"), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(exist_ok=True)
            file = folder / f"crash-{os.getpid()}.txt"
            file.write_text(text, encoding="utf-8")
        except OSError:
            continue
        return str(file)
    return "no file, for none could be written"


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        return _reader_left()
    return code


def _reader_left() -> int:
    """Nobody reads stdout any more (`| head`): no message, and none from the interpreter's exit."""
    with suppress(OSError, ValueError):  # ValueError: stdout is no file (in tests)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitCode.AS_EXPECTED

"""Compiled modules, made before a sandbox sees them: inside, the project cannot be written to.

Without this every start after an edit or an update would compile what Python never gets to keep.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from importlib.util import MAGIC_NUMBER, cache_from_source
from pathlib import Path

_HEADER = 16
"""Bytes before the code: magic number, flags, time and size of the source (PEP 552)."""
_LIMIT = 0xFFFFFFFF


def compile_stale(packages: Iterable[Path]) -> None:
    """Compile the modules below these directories that have changed since they were compiled.

    What cannot be written or compiled stays as it is: importing it will tell, or merely take longer.
    """
    if sys.dont_write_bytecode:
        return
    for source in _stale(packages):
        from py_compile import PycInvalidationMode, PyCompileError
        from py_compile import compile as compile_module

        with suppress(OSError, PyCompileError):
            compile_module(source, doraise=True, invalidation_mode=PycInvalidationMode.TIMESTAMP)


def _stale(packages: Iterable[Path]) -> Iterator[str]:
    for package in packages:
        for directory, children, files in os.walk(package):
            children[:] = [child for child in children if child != "__pycache__"]
            for name in files:
                source = os.path.join(directory, name)
                if name.endswith(".py") and not _is_fresh(source):
                    yield source


def _is_fresh(source: str) -> bool:
    try:
        with open(cache_from_source(source), "rb") as compiled:
            header = compiled.read(_HEADER)
        status = os.stat(source)
    except OSError:
        return False
    magic, flags, time, size = (header[start : start + 4] for start in range(0, _HEADER, 4))
    if magic != MAGIC_NUMBER:
        return False
    # Flags other than zero say that the import compares contents instead.
    return any(flags) or (_number(time), _number(size)) == (
        int(status.st_mtime) & _LIMIT,
        status.st_size & _LIMIT,
    )


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")

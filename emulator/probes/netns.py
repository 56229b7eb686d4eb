"""Run a function inside a network namespace.

A socket keeps the network namespace it was made in, so one process can hold sockets of every pod.
`setns` moves one thread only; each call here uses a thread that enters the namespace and then ends,
which leaves no thread behind that could be in the wrong namespace.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from emulator.linux.namespaces import Namespace, enter_netns, setns

T = TypeVar("T")


@contextmanager
def inside(netns: Path | None) -> Iterator[None]:
    """Be in a network namespace for a moment, in which nothing may be awaited (None: stay).

    Quicker than a thread, and safe because nothing else can run on this one meanwhile. Raises OSError.
    """
    if netns is None:
        yield
        return
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        enter_netns(netns)
        try:
            yield
        finally:
            setns(here, Namespace.NET)
    finally:
        os.close(here)


async def within(netns: Path | None, work: Callable[[], T]) -> T:
    """Run `work` in `netns` (None: this process' own) and return what it returns.

    Raises what `work` raises, and OSError when the namespace cannot be entered.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: BaseException | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)  # type: ignore[arg-type]

    def body() -> None:
        try:
            if netns is not None:
                enter_netns(netns)
            value = work()
        except BaseException as error:
            loop.call_soon_threadsafe(settle, None, error)
        else:
            loop.call_soon_threadsafe(settle, value, None)

    threading.Thread(target=body, name=f"netns-{netns.name if netns else 'own'}", daemon=True).start()
    return await answer

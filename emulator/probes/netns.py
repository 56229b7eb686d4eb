"""Run a function inside a network namespace.

A socket keeps the network namespace it was made in, so one process can hold sockets of every pod.
`setns` moves one thread only; each call here uses a thread that enters the namespace and then ends,
which leaves no thread behind that could be in the wrong namespace.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from emulator.linux.namespaces import enter_netns

T = TypeVar("T")


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

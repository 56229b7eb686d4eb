"""A store behind a socket."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

from emulator.api.rest import make_app, serve
from tests.unit.api.test_store import make_store


class Server:
    """A store behind a socket, in a thread of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.store = make_store()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._runner = self.run(serve(make_app(self.store), path))

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def do(self, work: Any, *arguments: Any) -> Any:
        """Call a method of the store in its thread."""

        async def call() -> Any:
            return work(*arguments)

        return self.run(call())

    def stop(self) -> None:
        self.run(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

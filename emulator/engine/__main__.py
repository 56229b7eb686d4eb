"""`python -m emulator.engine`: started by the sandbox's first process, restarted when it dies."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path

from aiohttp import web

from emulator.engine.daemon import Engine
from emulator.engine.front import make_front
from emulator.linux.supervision import notify_ready
from emulator.sandbox import inherited_listeners


async def serve(run_dir: Path) -> None:
    """Hold the cluster until this process is told to end."""
    engine = Engine(run_dir)
    runner = web.AppRunner(
        make_front(engine), handler_cancellation=True, access_log=None, shutdown_timeout=1.0
    )
    await runner.setup()
    for listener in inherited_listeners():
        listener.setblocking(False)
        await web.SockSite(runner, listener).start()
    work = asyncio.create_task(engine.run(notify_ready))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        await engine.kubelets.close()
    finally:
        await runner.cleanup()


def main() -> None:
    """Run until SIGTERM."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    gc.freeze()  # what was imported stays
    # Most JSON objects live on, so young ones are looked at less often than is usual. What ended pods leave
    # behind hangs together in cycles that only the last generation's turn frees, so that must come, too.
    gc.set_threshold(10_000, 5, 5)
    asyncio.run(serve(Path(os.environ["MININETES_RUN"])))


if __name__ == "__main__":
    main()

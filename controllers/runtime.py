"""Starts Ryu: `python -m controllers.runtime [APP...]`.

Without arguments it runs the cluster's controller, which needs MININETES_SOCKET (the engine's
Unix socket). Other Ryu applications can be named instead, such as
`controllers.learning_switch`. It listens on 127.0.0.1:6653 and says so to NOTIFY_SOCKET
(sd_notify), so that no switch looks for a controller before there is one.

This is the only module that knows what it takes to run Ryu 4.34 on a current Python: eventlet lost a
name that Ryu imports, and `ryu.base.app_manager` must be imported before the rest of Ryu.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Half of the start would be spent on a DNS resolver and a build tool that nothing here uses.
os.environ["EVENTLET_NO_GREENDNS"] = "yes"
if sys.version_info < (3, 12):
    os.environ["SETUPTOOLS_USE_DISTUTILS"] = "stdlib"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # eventlet announces its retirement at every start
    import eventlet
    import eventlet.wsgi

if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
    eventlet.wsgi.ALREADY_HANDLED = object()
eventlet.monkey_patch()

from ryu.base import app_manager  # noqa: E402, I001 - the order matters
from ryu import cfg  # noqa: E402
from ryu.controller import controller  # noqa: E402
from ryu.lib import hub  # noqa: E402

from emulator.linux.supervision import notify_ready  # noqa: E402

HOST, PORT = "127.0.0.1", 6653
CLUSTER_CONTROLLER = "controllers.cluster_controller"


def main(apps: Sequence[str]) -> int:
    """Run the applications until the process is told to stop."""
    logging.basicConfig(
        stream=sys.stderr,
        level=os.environ.get("MININETES_LOG", "INFO"),
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
    )
    logging.getLogger("ryu.base.app_manager").setLevel(logging.WARNING)
    cfg.CONF(args=[], project="mininetes")
    cfg.CONF.ofp_listen_host, cfg.CONF.ofp_tcp_listen_port = HOST, PORT
    controller.StreamServer = _AnnouncingServer
    manager = app_manager.AppManager.get_instance()
    manager.load_apps(list(apps) or [CLUSTER_CONTROLLER])
    settings = {"socket": Path(os.environ.get("MININETES_SOCKET", "")), "round_number": _round()}
    hub.joinall(manager.instantiate_apps(**manager.create_contexts(), **settings))
    return 0


class _AnnouncingServer(hub.StreamServer):  # type: ignore[misc]
    """Ryu's listener, telling the supervisor that it listens."""

    def serve_forever(self) -> Any:
        notify_ready()
        return super().serve_forever()


def _round() -> int:
    """A number from 1 to 65535 that differs between one run of the controller and the next."""
    return int(time.time()) % 0xFFFF + 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

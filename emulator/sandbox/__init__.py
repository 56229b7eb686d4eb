"""The sandbox: namespaces, a private Open vSwitch, supervised services. The only room that touches the host.

    engine = ServiceSpec("engine", (sys.executable, "-m", "emulator.engine"), notify=True)
    with launch("demo", services=[engine]) as box:
        box.wait("engine", timeout=10)
        box.enter(["ovs-vsctl", "show"])

`docs/architecture.md` tells which processes there are. Names are imported on use: the launcher and the
first process of a sandbox live in this package too and have to start fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulator.sandbox.errors import SandboxError
    from emulator.sandbox.launching import launch
    from emulator.sandbox.listeners import inherited_listeners
    from emulator.sandbox.openvswitch import Datapath
    from emulator.sandbox.sandbox import Sandbox, all, find
    from emulator.sandbox.services import ServiceSpec

__all__ = [
    "Datapath",
    "Sandbox",
    "SandboxError",
    "ServiceSpec",
    "all",
    "find",
    "inherited_listeners",
    "launch",
]

_HOMES = {
    "Datapath": "openvswitch",
    "SandboxError": "errors",
    "ServiceSpec": "services",
    "inherited_listeners": "listeners",
    "launch": "launching",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES.get(name, 'sandbox')}"), name)

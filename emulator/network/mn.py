"""Mininet's classes, imported in the one way that suits this project.

Mininet compares Open vSwitch's version with a class of `distutils`, which Python 3.12 dropped and
whose stand-in takes longer to import than all of Mininet. We never ask for that comparison.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType

_DISTUTILS = ("distutils", "distutils.version")


def _import_mininet() -> None:
    absent = [name for name in _DISTUTILS if name not in sys.modules]
    for name in absent:
        sys.modules[name] = ModuleType(name)
    if "distutils.version" in absent:
        sys.modules["distutils.version"].StrictVersion = str  # type: ignore[attr-defined]
    try:
        import_module("mininet.node")
    finally:
        for name in absent:
            del sys.modules[name]


_import_mininet()

from mininet.cli import CLI  # noqa: E402
from mininet.link import Intf, Link  # noqa: E402
from mininet.log import error as log_error  # noqa: E402
from mininet.log import lg as logger  # noqa: E402
from mininet.log import output as log_output  # noqa: E402
from mininet.net import Mininet  # noqa: E402
from mininet.node import Host, Node, OVSSwitch  # noqa: E402

# Mininet's own initialisation demands the host's root and writes the host's sysctls.
Mininet.inited = True

__all__ = ["CLI", "Host", "Intf", "Link", "Mininet", "Node", "OVSSwitch", "log_error", "log_output", "logger"]

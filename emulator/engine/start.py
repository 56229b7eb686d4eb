"""Starting a cluster: the topology is read and planned here, where its mistakes still have a place."""

from __future__ import annotations

import sys
from pathlib import Path

from emulator import sandbox
from emulator.api.load import load_document
from emulator.api.objects import JsonObject
from emulator.api.problems import ManifestError
from emulator.cluster.plan import wire
from emulator.cluster.topology import FAMILIES, NODES, TopologyError, parse_topology
from emulator.engine.birds import bird_services
from emulator.engine.bytecode import compile_stale
from emulator.engine.options import Options
from emulator.engine.relaying import relay_service
from emulator.sandbox.places import RUN

_CONTROLLER = {"EVENTLET_NO_GREENDNS": "yes"}
"""The controller asks no DNS, and eventlet's own resolver is a quarter of its start."""
if sys.version_info < (3, 12):
    # Else all of setuptools stands in for the standard library's distutils, of which Ryu wants one class.
    _CONTROLLER["SETUPTOOLS_USE_DISTUTILS"] = "stdlib"

_ENGINE = {"SSL_CERT_FILE": "/dev/null", "SSL_CERT_DIR": "/dev/null"}
"""The engine speaks no TLS, but aiohttp reads all certificates of the system twice when it is imported."""

_PROJECT = Path(__file__).resolve().parents[2]
_RUN_INSIDE = ("emulator", "controllers")

SHIPPED = _PROJECT / "topologies"


def start(
    topology: str | Path, nodes: int | None, families: str | None, *, name: str, offload: bool, datapath: str
) -> sandbox.Sandbox:
    """Start the sandbox of a cluster, which ends with this process unless it is detached.

    Raises ManifestError for a bad topology and sandbox.SandboxError where it cannot run.
    """
    options = Options(name, read_topology(topology, nodes, families), datapath, offload)
    compile_stale(_PROJECT / package for package in _RUN_INSIDE)
    python = sys.executable
    return sandbox.launch(
        name,
        services=[
            sandbox.ServiceSpec(
                "controller", (python, "-m", "controllers.runtime"), _CONTROLLER, notify=True, after=()
            ),
            sandbox.ServiceSpec(
                "engine",
                (python, "-m", "emulator.engine"),
                {**_ENGINE, **options.environment()},
                notify=True,
                listens=True,
            ),
            relay_service(Path(RUN)),
            *bird_services(wire(parse_topology(options.topology)), Path(RUN)),
        ],
        datapath=sandbox.Datapath(datapath),
        offload=offload,
    )


def read_topology(topology: str | Path, nodes: int | None, families: str | None = None) -> JsonObject:
    """The Topology object of a shipped name or a file, sized to `nodes` and restricted to `families` (with a
    comma between two); it is known to be sound.

    Raises ManifestError with the place of the mistake.
    """
    located = load_document(find_topology(topology), "Topology")
    obj: JsonObject = located.object
    wishes = {NODES: nodes, FAMILIES: families}
    annotations = dict(obj["metadata"].get("annotations") or {})
    annotations.update({name: str(value) for name, value in wishes.items() if value is not None})
    if annotations:
        obj = {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}
    try:
        wire(parse_topology(obj))
    except TopologyError as wrong:
        raise ManifestError([located.problem(wrong.path, wrong.message, wrong.hint)]) from None
    return obj


def find_topology(topology: str | Path) -> Path:
    """The file of a topology: a path, or the name of a shipped one. Raises FileNotFoundError."""
    path = Path(topology)
    if path.suffix in (".yaml", ".yml", ".json") or path.exists():
        return path
    shipped = SHIPPED / f"{topology}.yaml"
    if not shipped.exists():
        known = ", ".join(sorted(entry.stem for entry in SHIPPED.glob("*.yaml")))
        raise FileNotFoundError(f"no topology {str(topology)!r}; shipped are {known}, or give a file")
    return shipped

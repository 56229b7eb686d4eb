"""Start and stop, ours and stock Mininet's, each in a sandbox of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from emulator.sandbox import launch

ROOT = Path(__file__).resolve().parents[1]
NAME = "bench"
PATIENCE = 600.0
"""Seconds after which a measurement has failed."""

_DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {{name: web-{number}, namespace: default}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: web-{number}}}}}
  template:
    metadata: {{labels: {{app: web-{number}}}}}
    spec:
      containers:
      - name: web
        image: nginx
        ports: [{{containerPort: 80}}]
        readinessProbe: {{httpGet: {{path: /, port: 80}}, periodSeconds: 1}}
"""


class MeasurementError(Exception):
    """A measurement could not be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Seconds:
    """How long starting and stopping took."""

    start: float
    stop: float


def measure_stock(switches: int, hosts: int) -> Seconds:
    """Stock Mininet: bare hosts, switches without a controller. Raises MeasurementError."""
    missing = [program for program in ("mnexec", "ifconfig") if shutil.which(program) is None]
    if missing:
        raise MeasurementError(
            f"stock Mininet needs {' and '.join(missing)}: install the packages mininet and net-tools"
        )
    with launch("stock") as box:
        script = str(Path(__file__).with_name("stock.py"))
        words = box.command(["python", script, str(switches), str(hosts)])
        said = json.loads(_run(words).splitlines()[-1])
    if not said["forwards"]:
        raise MeasurementError("stock Mininet started, but its hosts do not reach each other")
    return Seconds(said["start"], said["stop"])


def measure_ours(nodes: int, pods: int, directory: Path) -> Seconds:
    """A cluster up to readiness: every flow acknowledged, every pod answering its probe from its node."""
    manifest = directory / "pods.yaml"
    manifest.write_text("---\n".join(_deployments(nodes, pods)))
    program = str(ROOT / "mininetes")
    begin = time.monotonic()
    _run([program, "up", "three-node", "--name", NAME, "--nodes", str(nodes), "-f", str(manifest)])
    up = time.monotonic()
    try:
        pod = json.loads(_run([program, "get", "pods", "--name", NAME, "-o", "json"]))["items"][-1]
        place = f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"
        _run([program, "probe", "node/worker-1", place, "--name", NAME, "--port", "80/tcp"])
    finally:
        answered = time.monotonic()
        _run([program, "down", "--name", NAME])
    return Seconds(up - begin, time.monotonic() - answered)


def _deployments(nodes: int, pods: int) -> list[str]:
    """As many deployments as nodes, so that no single one dominates the control loops."""
    each, rest = divmod(pods, nodes)
    sizes = [each + (number < rest) for number in range(nodes)]
    return [
        _DEPLOYMENT.format(number=number, replicas=size) for number, size in enumerate(sizes, start=1) if size
    ]


def _run(words: Sequence[str]) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise MeasurementError(f"{words[0]} did not end within {PATIENCE:g} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip()
        raise MeasurementError(f"{' '.join(words)} ended with {done.returncode}:\n{said}")
    return done.stdout

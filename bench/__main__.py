"""`python -m bench`: prints how long we take beside stock Mininet; exit 1 when that is more than half."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.startup import MeasurementError, Seconds, measure_ours, measure_stock

GOAL = 0.5
"""Our start-up time over stock Mininet's, at most."""


def median(measured: Sequence[Seconds]) -> Seconds:
    return Seconds(
        statistics.median(each.start for each in measured), statistics.median(each.stop for each in measured)
    )


def table(stock: Seconds, ours: Seconds, nodes: int, pods: int) -> str:
    rows = [
        ("", "start", "stop"),
        (f"stock Mininet: {pods} bare hosts, {nodes} switches", *_cells(stock)),
        (f"mininetes: {pods} pods, {nodes} nodes, programmed, answering", *_cells(ours)),
        ("ratio", f"{ours.start / stock.start:.2f}", f"{ours.stop / stock.stop:.2f}"),
    ]
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{name:<{width}}  {start:>8}  {stop:>8}" for name, start, stop in rows)


def _cells(seconds: Seconds) -> tuple[str, str]:
    return f"{seconds.start:.2f} s", f"{seconds.stop:.2f} s"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--nodes", type=int, default=10)
    parser.add_argument("--pods", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    wanted = parser.parse_args()
    stock: list[Seconds] = []
    ours: list[Seconds] = []
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        os.environ["MININETES_HOME"] = directory
        try:
            for number in range(1, wanted.rounds + 1):
                print(f"round {number} of {wanted.rounds} …", file=sys.stderr, flush=True)
                stock.append(measure_stock(wanted.nodes, wanted.pods))
                ours.append(measure_ours(wanted.nodes, wanted.pods, Path(directory)))
        except MeasurementError as error:
            print(f"error: {error}", file=sys.stderr)
            return 3
    baseline, figure = median(stock), median(ours)
    ratio = figure.start / baseline.start
    if wanted.json:
        figures = {"stock": baseline, "mininetes": figure}
        pairs = {name: {"start": each.start, "stop": each.stop} for name, each in figures.items()}
        print(json.dumps({"nodes": wanted.nodes, "pods": wanted.pods, "ratio": ratio, **pairs}))
    else:
        print(table(baseline, figure, wanted.nodes, wanted.pods))
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())

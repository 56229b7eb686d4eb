"""The BIRDs of a cluster, as services of its sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from emulator.cluster.advertisement import peerings
from emulator.cluster.wiring import Wiring
from emulator.network.bird import Bird
from emulator.sandbox import ServiceSpec

BIRDS = "bird"
"""The directory of their files in the run's own."""


def birds(wiring: Wiring, run_dir: Path) -> Mapping[str, Bird]:
    """The BIRD of every node and router that speaks BGP, by its place."""
    places = [f"node/{peering.node.name}" for peering in peerings(wiring)]
    places += [router.place for router in wiring.routers]
    return {place: Bird(place, run_dir / BIRDS / place.replace("/", "-")) for place in places}


def bird_services(wiring: Wiring, run_dir: Path) -> Iterator[ServiceSpec]:
    """The BIRDs as the sandbox supervises them. Their namespaces come later, so they are held at first."""
    for bird in birds(wiring, run_dir).values():
        yield ServiceSpec(bird.unit, bird.argv, after=(), held=True)

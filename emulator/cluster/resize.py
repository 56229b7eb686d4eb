"""A topology of another size: workers cloned, or dropped from the end."""

from __future__ import annotations

import re
from dataclasses import replace

from emulator.cluster.specs import WORKER, LinkSpec, NodeSpec, Topology, TopologyError


def resize(topology: Topology, nodes: int) -> Topology:
    """`topology` with `nodes` nodes in all.

    Clones take zone, subnet, labels and links of the workers in turn, so zones and leaves
    fill evenly. Nodes of other roles are neither cloned nor dropped. Raises TopologyError.
    """
    workers = [n for n in topology.nodes if n.role == WORKER] or list(topology.nodes)
    others = len(topology.nodes) - len(workers)
    if nodes <= others:
        raise TopologyError(("spec", "nodes"), f"{topology.name} needs {others + 1} nodes or more")
    wanted = nodes - others
    if wanted <= len(workers):
        dropped = {worker.name for worker in workers[wanted:]}
        return replace(
            topology,
            nodes=tuple(n for n in topology.nodes if n.name not in dropped),
            links=tuple(link for link in topology.links if not dropped & set(link.ends)),
        )
    taken = {node.name for node in topology.nodes}
    taken |= {router.name for router in topology.routers} | {host.name for host in topology.external}
    clones: list[NodeSpec] = []
    links: list[LinkSpec] = []
    for number in range(wanted - len(workers)):
        original = workers[number % len(workers)]
        clone = replace(original, name=_fresh(original.name, taken))
        clones.append(clone)
        for link in topology.links:
            if original.name in link.ends:
                first, second = (clone.name if end == original.name else end for end in link.ends)
                links.append(replace(link, ends=(first, second)))
    return replace(topology, nodes=(*topology.nodes, *clones), links=(*topology.links, *links))


def _fresh(name: str, taken: set[str]) -> str:
    stem = re.sub(r"-?\d+$", "", name)
    number = 1
    while f"{stem}-{number}" in taken:
        number += 1
    taken.add(f"{stem}-{number}")
    return f"{stem}-{number}"

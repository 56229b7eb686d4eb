"""Writes docs/faults.md from the catalogue.

`python -m emulator.cluster.faults.document` prints the page; a test holds the committed one to it.
"""

from __future__ import annotations

from collections.abc import Iterator

from emulator.cluster.faults.catalogue import KINDS
from emulator.cluster.faults.kind import FaultKind

_INTRODUCTION = """# Faults

*Generated from `emulator/cluster/faults` by `python -m emulator.cluster.faults.document`; a test keeps it
current.*

A fault happens for real, in the running network, and lasts until it is cleared:

```console
$ mininetes fault inject node-down worker-2
$ mininetes fault list
$ mininetes fault clear node-down
```

`clear` takes a fault's name or kind, and clears all without; it restores what was there before, also when
the controller, the engine or Open vSwitch died meanwhile. Faults of a row that says *over at once* need no
clearing: what was killed comes back by itself. What is chosen at random follows `seed`, which is printed.

`mininetes diff` names the fault that made a difference, beside it. `mininetes diff --heal` puts right what
differs, whoever made it so, and clears the faults whose doing that was, as `fault clear` would. Faults that
leave tables, links and routes as they ought to be, such as `conntrack-full`, `link-impaired` or `dns-down`,
make no difference, and stay until they are cleared.

In a scenario: `fault: {kind: node-down, node: worker-2}` and `clear: node-down`. In Python:
`cluster.inject("node-down", node="worker-2")` and `cluster.clear("node-down")`.
"""


def page() -> str:
    """The page: a table, then each kind."""
    rows = [
        f"| [{kind.name}](#{kind.name}) | {kind.summary}{'' if kind.lasts else ' *Over at once.*'} |"
        for kind in KINDS
    ]
    table = ["| fault | does |", "|---|---|", *rows]
    return "\n".join([_INTRODUCTION, *table, *(line for kind in KINDS for line in _section(kind))]) + "\n"


def _section(kind: FaultKind) -> Iterator[str]:
    yield from ("", f"## {kind.name}", "", f"    mininetes fault inject {kind.usage}", "")
    yield f"{kind.summary} {kind.teaches}"
    if kind.parameters:
        yield from ("", "| argument | meaning | default |", "|---|---|---|")
        for parameter in kind.parameters:
            default = "required" if parameter.required else parameter.default
            yield f"| `{parameter.name}` | {parameter.help} | {'' if default is None else default} |"


if __name__ == "__main__":
    print(page(), end="")

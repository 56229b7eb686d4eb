"""What a cluster consists of, to be compared before a fault and after."""

from __future__ import annotations

import re
import subprocess
from typing import Any

from emulator import Cluster
from emulator.network.names import netns_path

_NODES = ("worker-1", "worker-2", "worker-3")
_MARK = "## "


def _script() -> str:
    """One shell for everything: each question's name, then its answer."""
    asked = {
        "links": "ip -o link | sed 's/ state [A-Z]* / /; s/,LOWER_UP//; s/NO-CARRIER,//'",
        "tunnels": "bridge fdb | grep ' dst ' | sort",
        "limits": "ovs-appctl dpctl/ct-get-limits",
    }
    for node in _NODES:
        enter = f"nsenter --net={netns_path(f'node/{node}')} ip"
        asked[f"addresses of {node}"] = f"{enter} -o address"
        for family in ("-4", "-6"):
            routes = f"{enter} {family} route show table all"
            asked[f"routes {family} of {node}"] = f"{routes} | sed 's/ expires [^ ]*//; s/ linkdown//' | sort"
    return "\n".join(f"echo '{_MARK}{name}'; {command}" for name, command in asked.items())


def standing(cluster: Cluster) -> dict[str, Any]:
    """Flows, interfaces, tunnels' ends, limits of connection tracking, addresses and routes.

    Whether a cable has a carrier is left out: the kernel tells that a moment after it has one.
    """
    flows = {
        (one["bridge"], one["table"], one["priority"], one["match"], one["actions"], one["owner"])
        for one in cluster.flows()
        if not one["learned"]
    }
    command = cluster.sandbox.command(["sh", "-c", _script()])
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    answers = dict(part.split("\n", 1) for part in re.split(rf"^{_MARK}", said, flags=re.MULTILINE)[1:])
    assert "worker-3" in said
    assert all(answers[name] for name in ("links", "tunnels", "limits")), answers
    return {"flows": flows, **{name: set(answer.splitlines()) for name, answer in answers.items()}}


def assert_restored(cluster: Cluster, before: dict[str, Any]) -> None:
    """Everything is as it was."""
    after = standing(cluster)
    assert before.keys() == after.keys()
    for what, was in before.items():
        assert not was ^ after[what], (what, was - after[what], after[what] - was)

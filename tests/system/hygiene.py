"""What must hold after every system test: no switch complained, nothing was lost to recirculation."""

from __future__ import annotations

import re
import subprocess

from emulator import Cluster

ALLOWED_WARNINGS = (
    # The userspace datapath asks for what only a kernel module or real hardware has.
    r"dpif_netlink\|",
    r"netdev_linux\|.*(ethtool|offload)",
    r"rconn\|.*connection (failed|dropped|closed|timed out)",
    r"stream_tcp|connection refused",
)
"""Lines that say nothing about the network."""


def appctl(cluster: Cluster, *arguments: str) -> str:
    """One `ovs-appctl` in the cluster's sandbox."""
    command = cluster.sandbox.command(["ovs-appctl", *arguments])
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def assert_clean(cluster: Cluster) -> None:
    """Oracle 90: no OpenFlow error, no recirculation drop, no unexpected warning of the switch."""
    assert cluster.status()["errors"] == []
    drops = re.findall(
        r"^(datapath_drop_recirc_error)\s.*total: (\d+)", appctl(cluster, "coverage/show"), re.M
    )
    assert all(total == "0" for _, total in drops), drops
    log = cluster.sandbox.log("ovs-vswitchd", 100_000)
    warnings = [line for line in log.splitlines() if re.search(r"\|(WARN|ERR|EMER)\|", line)]
    unexpected = [line for line in warnings if not any(re.search(known, line) for known in ALLOWED_WARNINGS)]
    assert not unexpected, "\n".join(unexpected)

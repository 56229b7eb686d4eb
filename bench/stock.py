"""Stock Mininet, measured: bare hosts on switches of Open vSwitch's user datapath.

Runs inside namespaces of its own, beside a private Open vSwitch, and prints one line of JSON.
`python stock.py SWITCHES HOSTS`
"""

from __future__ import annotations

import itertools
import json
import sys
import time
from functools import partial

from mininet.net import Mininet
from mininet.node import OVSSwitch
from mininet.topo import Topo

# Mininet would write sysctls, which namespaces like these may not; nothing else of it is changed.
Mininet.inited = True


class Rack(Topo):  # type: ignore[misc]
    def build(self, switches: int, hosts: int) -> None:
        """Switches in a row, with the same number of hosts on each."""
        row = [self.addSwitch(f"s{number}", dpid=f"{number:x}") for number in range(1, switches + 1)]
        for left, right in itertools.pairwise(row):
            self.addLink(left, right)
        for number in range(hosts):
            self.addLink(self.addHost(f"h{number + 1}"), row[number % switches])


def main() -> None:
    switches, hosts = int(sys.argv[1]), int(sys.argv[2])
    begin = time.monotonic()
    switch = partial(OVSSwitch, datapath="user", failMode="standalone")
    net = Mininet(Rack(switches, hosts), switch=switch, controller=None)
    net.start()
    started = time.monotonic()
    first, neighbour = net.hosts[0], net.hosts[switches]
    loss = net.ping([first, neighbour], timeout="2")
    pinged = time.monotonic()
    net.stop()
    ended = time.monotonic()
    print(json.dumps({"start": started - begin, "stop": ended - pinged, "forwards": loss == 0}))


if __name__ == "__main__":
    main()

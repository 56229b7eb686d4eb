"""Real traffic from any place, and what both ends saw of it.

`probe.probe` sends it, `capture` watches interfaces, `generators` make packets that no socket would
send. Network namespaces are given as paths; nothing here knows Mininet or Open vSwitch.
"""

"""Where the installed flow tables take a packet: `ofproto/trace` bridge by bridge, as values.

Everything here is a pure function; who asks the switch is given as a function (`walk.Ask`).
"""

"""The network: a wiring plan becomes bridges, namespaces and cables, shown as a Mininet."""

"""Controllers of workloads, one module a kind: each a function from a snapshot to changes."""

"""Each fault in a running cluster: what went before, what it does to packets, and what is restored."""

"""DNS servers: CoreDNS in the cluster, and the resolver of the emulated internet."""

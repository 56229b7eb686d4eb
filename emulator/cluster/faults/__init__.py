"""What can go wrong on request: the catalogue of faults, and the faults that a cluster suffers from now."""

"""What kube-controller-manager and the scheduler do that shapes the network, from objects to objects.

The room also owns the wiring plan (topology → bridges, ports, addresses) and the typed
`ClusterState` that the compiler and the oracle read.
"""

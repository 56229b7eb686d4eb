"""The names of a cluster: what its DNS answers, as a function from objects, and the objects that serve it."""

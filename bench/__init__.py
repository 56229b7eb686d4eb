"""Measurements: how long a cluster takes, and how long stock Mininet takes for less."""

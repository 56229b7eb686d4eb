"""Comparing what happened with what should have happened.

Everything in this room is a pure function of values: no cluster, no socket, no file.
"""

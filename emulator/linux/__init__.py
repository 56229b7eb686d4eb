"""What Linux offers and Python's standard library lacks: namespaces, mounts, capabilities, processes.

Standard library only, and quick to import: processes that are started often begin with it.
"""

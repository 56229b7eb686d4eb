"""Impairs links where the kernel has no netem: a process that frames pass through, on their way out of an
interface."""

"""What Kubernetes says should become of a packet, with reasons, computed from the objects alone.

The second opinion: it reads objects as users write them, shares no code with the flow compiler or with the
control loops whose work it judges, and looks at no flow table. Whoever finds both wrong in the same way has
found a mistake in the reading of Kubernetes, not in a program.
"""

"""The process that holds one cluster, and the client that talks to it.

The engine composes the rooms below it: it serves the object store over the run's Unix
socket, runs the control loops until nothing changes, brings the network and the pods to
what the objects say, and says when everything is *ready*.
"""

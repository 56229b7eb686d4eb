"""The causes that `diagnose` recognises, a module for each part of the cluster.

A module holds codes (constants of type `Code`) and finders: functions from `Evidence` to a `Cause` or None.
`order` is the one list of both.
"""

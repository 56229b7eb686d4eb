"""The cluster as flow tables: pure functions from a `ClusterState` to one `FlowProgram` a bridge.

Nothing here knows Ryu, sockets or time. `tables` is the one list of stages, `registers` names
every bit a packet carries from stage to stage, `features/` holds one file a feature, `compile`
puts the programs together and `diff` tells what changed.
"""

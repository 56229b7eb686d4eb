"""One file a feature. Each offers functions from a view of one bridge to that bridge's flows."""

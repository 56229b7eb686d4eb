"""Programs of ours that containers find: run by their interpreter, never imported."""

"""One file a merge method: its settings, a pure function over tensors, its registration."""

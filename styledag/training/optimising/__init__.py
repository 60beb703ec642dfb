"""One optimiser step: optimisers, their settings, and the weights that stay as they are."""

"""A whole Stable Diffusion 1.x, 2.x or XL in one file, named as the original checkpoints are."""

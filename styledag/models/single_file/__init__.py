"""A whole Stable Diffusion in one file, named as the original checkpoints are."""

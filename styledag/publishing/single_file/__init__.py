"""Stable Diffusion 1.x and 2.x in one file, with the tensor names of the original checkpoints."""

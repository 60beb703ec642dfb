"""A whole Stable Diffusion 1.x, 2.x, XL or 3.x, or a transformer, written as one file."""

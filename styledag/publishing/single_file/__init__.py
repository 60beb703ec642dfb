"""A whole Stable Diffusion 1.x, 2.x or XL written as one file."""

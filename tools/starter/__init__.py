"""The starter: Stable Diffusion, BLIP and CLIP in their own formats, small enough for a CPU."""

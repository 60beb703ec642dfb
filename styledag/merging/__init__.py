"""merged_unet: blends of base and fine-tune, with their parents in the header."""

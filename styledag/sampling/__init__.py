"""sample_grid, evolution, denoising: images that follow from prompt and seed alone."""

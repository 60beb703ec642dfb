"""sample_grid, evolution, denoising: pictures that follow from prompt and seed alone."""

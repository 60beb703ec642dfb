"""raw_images: images exactly as the sources serve them, with provenance."""

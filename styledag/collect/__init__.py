"""raw_images: pictures exactly as the sources serve them, with provenance."""

"""jpeg_images and curated_images: RGB JPEG, copies dropped, families capped."""

"""captions: what BLIP, a page or a person says of each image, cleaned."""

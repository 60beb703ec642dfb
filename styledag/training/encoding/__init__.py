"""The encoded dataset: posterior moments of images and text states of captions."""

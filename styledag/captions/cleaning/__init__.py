"""What is taken off the words about an image."""

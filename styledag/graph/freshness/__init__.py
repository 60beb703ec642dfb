"""What would be built next: what is due, whether training is worth it, and what it costs."""

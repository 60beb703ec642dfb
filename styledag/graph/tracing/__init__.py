"""From an artifact or a file back to all that it came from."""

"""Text encoders that families have in common, and the tokens that they read."""

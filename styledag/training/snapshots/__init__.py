"""What training writes at the end of an epoch."""

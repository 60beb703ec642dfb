"""Captions for a person to look at, worst first, and to correct in a sheet."""

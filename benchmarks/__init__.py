"""Measurements of the package, run from a checkout and not installed."""

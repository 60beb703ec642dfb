"""Programs for the project itself, run from a checkout and not installed."""

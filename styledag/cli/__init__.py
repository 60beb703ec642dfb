"""The command line over the graph."""

"""Models from outside the graph: their files, their version, and what they run on."""

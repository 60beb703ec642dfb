"""Models from outside the graph: where they come from, their version, and the device they run on."""

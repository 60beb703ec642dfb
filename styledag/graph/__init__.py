"""The graph without Dagster: what each artifact is built from, what is stale, and the lineage."""

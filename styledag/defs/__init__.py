"""The graph: assets, partitions and resources. The only code that knows Dagster."""

"""The artifact store: content-addressed, atomic, per-item cached, on any fsspec file system."""

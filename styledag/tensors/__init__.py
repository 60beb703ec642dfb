"""Weights on the disk: files, shards and variants, read in slices, written in pieces, as deltas."""

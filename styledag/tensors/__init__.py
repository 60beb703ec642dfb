"""Files of tensors: read in slices, written in pieces, stored as differences."""

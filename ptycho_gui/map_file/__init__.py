"""Map a file: the operator says which array is what."""

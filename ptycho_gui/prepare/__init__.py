"""Prepare: steps between the file and the training, before and after, the orientation search."""

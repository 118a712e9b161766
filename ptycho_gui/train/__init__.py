"""Train: grouping, settings, the running training and its curves."""

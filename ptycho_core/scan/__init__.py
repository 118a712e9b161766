"""A scan in memory: patterns and positions, steps that prepare them, groups, orientation, and what became of them."""

"""Fields bound to knobs, and the parts that forms are made of."""

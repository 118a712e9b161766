"""The folder of a run: its record, its results, what may be removed, and the command that repeats it."""

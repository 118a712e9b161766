"""The only place where threads are made: jobs, their workers, and the slot that runs one at a time."""

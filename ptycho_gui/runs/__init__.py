"""Runs: the history of runs, their checkpoints, and the queue."""

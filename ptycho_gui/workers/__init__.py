"""Threads, and what they run: each job calls the core."""

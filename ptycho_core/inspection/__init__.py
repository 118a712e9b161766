"""What is in a scan, what is wrong with it, and what is checked before a run."""

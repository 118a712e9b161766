"""Scan: opening a scan, what it holds and what is wrong with it, its data in pictures."""

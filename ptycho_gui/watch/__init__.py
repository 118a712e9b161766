"""Watch a folder in which scans arrive."""

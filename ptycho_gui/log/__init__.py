"""Log: what was said, and the bug report."""

"""Apply: another scan through a trained checkpoint."""

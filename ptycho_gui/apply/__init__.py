"""Apply: other scans through a trained checkpoint, one that is chosen or each that arrives in a folder."""

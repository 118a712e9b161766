"""Ptychographic reconstruction: scans, grouping, physics, training, exports. Knows nothing of Qt."""

import logging

__version__ = "0.1.0"

logging.getLogger(__name__).addHandler(logging.NullHandler())  # who wants the log takes it; the command line does not

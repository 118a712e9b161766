"""Ptychographic reconstruction: scans, grouping, physics, training, exports. Knows nothing of Qt."""

__version__ = "0.1.0"

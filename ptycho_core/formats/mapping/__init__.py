"""Scans of any other layout: which array of a file is what, told, proposed, kept and read."""

"""Plots that more than one task shows."""

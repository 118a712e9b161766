"""The window: an operator's view of the core. Imports `ptycho_core`, never the reverse."""

"""`ptycho-gui`: the composition root."""

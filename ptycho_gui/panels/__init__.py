"""What the docks hold: one widget each."""

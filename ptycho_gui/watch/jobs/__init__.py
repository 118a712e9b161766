"""Jobs of watching."""

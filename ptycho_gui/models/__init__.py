"""Qt item models of tables."""

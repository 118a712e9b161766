"""Result: the object and the probe, live and final, compared and exported."""

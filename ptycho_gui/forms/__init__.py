"""Fields of forms, made from the settings' own declarations."""

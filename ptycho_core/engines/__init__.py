"""All that computes with torch: physics, models, training, reconstruction. Nothing outside imports torch."""

"""What several tasks do in a thread of its own."""

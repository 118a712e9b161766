"""What this task does in a thread of its own."""

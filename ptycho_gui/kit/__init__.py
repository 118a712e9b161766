"""What tasks share: forms bound to knobs, plots, icons, colours, jobs in threads."""

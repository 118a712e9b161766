"""What everything stands on: settings and their limits, errors, events, files written whole, processes, versions."""

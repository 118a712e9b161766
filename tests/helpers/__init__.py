"""What tests and benchmarks share: files of every format, damage, runs that were trained."""

"""What ``benchmarks.images`` measures."""

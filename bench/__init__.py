"""Benchmarks of the hub and of comparable servers."""

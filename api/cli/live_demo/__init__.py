"""A simulated market."""

"""Demo data, created by the same units of work that serve users."""

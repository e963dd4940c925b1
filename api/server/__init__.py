"""The hub process."""

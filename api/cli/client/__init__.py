"""Talking to a running hub."""

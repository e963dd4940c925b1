"""Periodic tasks of the hub."""

"""Presence of users and what their browsers have acknowledged."""

"""Notifications: inboxes, sending, preferences and routing."""

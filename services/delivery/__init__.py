"""Delivery outside the app: push and e-mail."""

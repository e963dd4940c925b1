"""The event log: channels, replay, retention."""

"""Users, sessions, API keys and credentials."""

"""In-memory delivery of events to open streams; standard library only."""

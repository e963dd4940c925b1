"""The SQLite engine of Database."""

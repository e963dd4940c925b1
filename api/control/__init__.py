"""Administrative actions of the running hub."""

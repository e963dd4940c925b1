"""HTTP: the only ring that reads the environment and puts the parts together."""

"""Server-Sent Events over HTTP."""

"""Who is listening, and how the bytes of an event reach every one of them."""

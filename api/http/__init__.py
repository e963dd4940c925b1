"""HTTP building blocks: requests in, problems out."""

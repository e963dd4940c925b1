"""The rules and the rows: what the product does, without a word of HTTP."""

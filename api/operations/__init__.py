"""Operations: what the API offers and how a request becomes a call."""

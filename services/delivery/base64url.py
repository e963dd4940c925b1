"""Base64url without padding (RFC 4648, 5)."""

import base64


def encode(data: bytes) -> str:
    """Return the text of the bytes, without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of a text with or without padding. Raises ValueError for other characters."""
    unpadded = text.rstrip("=")
    return base64.b64decode(unpadded + "=" * (-len(unpadded) % 4), altchars=b"-_", validate=True)

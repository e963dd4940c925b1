"""Encrypts what is pushed so that only the browser can read it (RFC 8291), and signs who sent it (RFC 8292).

Import it where it is used: what it needs costs 10 MB and a fifth of a second.
"""

import secrets
from typing import Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from services.delivery.base64url import decode, encode

# What a push service takes at least (RFC 8030, 7.2).
RECORD_BYTES: Final = 4_096

_CURVE = ec.SECP256R1()


def encrypt(plain: bytes, *, p256dh: bytes, auth: bytes, salt: bytes | None = None, key: int | None = None) -> bytes:
    """One aes128gcm record (RFC 8188) for the browser with these keys; `salt` and `key` are random but in tests.

    Raises ValueError where `p256dh` is no point of the curve.
    """
    browser = _point(p256dh)
    own = ec.generate_private_key(_CURVE) if key is None else ec.derive_private_key(key, _CURVE)
    shown = _uncompressed(own.public_key())
    salt = secrets.token_bytes(16) if salt is None else salt
    shared = own.exchange(ec.ECDH(), browser)
    input_key = _derive(shared, auth, b"WebPush: info\0" + p256dh + shown, 32)
    content_key = _derive(input_key, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(input_key, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(shown)]) + shown
    # 2: this record is the last one.
    return header + AESGCM(content_key).encrypt(nonce, plain + b"\2", None)


def check_public_key(p256dh: bytes) -> None:
    """Raises ValueError where this is no point of the curve."""
    _point(p256dh)


def new_key() -> str:
    """A private key for signing, as text."""
    return encode(ec.generate_private_key(_CURVE).private_numbers().private_value.to_bytes(32, "big"))


class VapidSigner:
    """Says who sends, by a key that was made once: a browser subscribes to that key. Raises ValueError for no key."""

    def __init__(self, key: str) -> None:
        self._key = ec.derive_private_key(int.from_bytes(decode(key), "big"), _CURVE)
        self.public_key = encode(_uncompressed(self._key.public_key()))

    def authorization(self, *, audience: str, subject: str, expires_at: int) -> str:
        """The `Authorization` header for a push service: its origin, whom it may write to, until when (s)."""
        claims = {"aud": audience, "exp": expires_at, "sub": subject}
        signed = ".".join(encode(msgspec.json.encode(part)) for part in ({"typ": "JWT", "alg": "ES256"}, claims))
        r, s = utils.decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(SHA256())))
        token = f"{signed}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        return f"vapid t={token}, k={self.public_key}"


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def _point(raw: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, raw)


def _uncompressed(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

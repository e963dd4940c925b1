"""Web Push encryption (RFC 8291) and VAPID signatures (RFC 8292).

Import it inside functions: its library needs 10 MB and 0.2 s.
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

# Every push service accepts this size (RFC 8030, 7.2).
RECORD_BYTES: Final = 4_096

_CURVE = ec.SECP256R1()


def encrypt(
    plaintext: bytes, *, p256dh: bytes, auth: bytes, salt: bytes | None = None, key: int | None = None
) -> bytes:
    """Return one aes128gcm record (RFC 8188) for the browser with these keys; only tests set `salt` and `key`.

    Raises ValueError if `p256dh` is not a point of the curve.
    """
    browser_key = _parse_point(p256dh)
    private_key = ec.generate_private_key(_CURVE) if key is None else ec.derive_private_key(key, _CURVE)
    public_key = _to_uncompressed(private_key.public_key())
    salt = secrets.token_bytes(16) if salt is None else salt
    shared_secret = private_key.exchange(ec.ECDH(), browser_key)
    input_key = _derive(shared_secret, auth, b"WebPush: info\0" + p256dh + public_key, 32)
    content_key = _derive(input_key, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derive(input_key, salt, b"Content-Encoding: nonce\0", 12)
    header = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([len(public_key)]) + public_key
    # The delimiter 2 marks the last record.
    return header + AESGCM(content_key).encrypt(nonce, plaintext + b"\2", None)


def check_public_key(p256dh: bytes) -> None:
    """Raise ValueError if this is not a point of the curve."""
    _parse_point(p256dh)


def create_key() -> str:
    """Return a new private signing key (base64url)."""
    return encode(ec.generate_private_key(_CURVE).private_numbers().private_value.to_bytes(32, "big"))


class VapidSigner:
    """Signs requests with the hub's key; browsers subscribe to its public part. Raises ValueError for a bad key."""

    def __init__(self, key: str) -> None:
        self._key = ec.derive_private_key(int.from_bytes(decode(key), "big"), _CURVE)
        self.public_key = encode(_to_uncompressed(self._key.public_key()))

    def authorization(self, *, audience: str, subject: str, expires_at: int) -> str:
        """Return the `Authorization` header.

        `audience` is the origin of the push service, `subject` the contact address, `expires_at` seconds since 1970.
        """
        claims = {"aud": audience, "exp": expires_at, "sub": subject}
        signed = ".".join(encode(msgspec.json.encode(part)) for part in ({"typ": "JWT", "alg": "ES256"}, claims))
        r, s = utils.decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(SHA256())))
        token = f"{signed}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"
        return f"vapid t={token}, k={self.public_key}"


def _derive(secret: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(SHA256(), length, salt, info).derive(secret)


def _parse_point(data: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, data)


def _to_uncompressed(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

"""Push encryption (RFC 8291) and VAPID signatures (RFC 8292), against the examples of the standards."""

import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from services.delivery import push_encryption
from services.delivery.base64url import decode, encode
from tests.support.push_service import Browser


def test_encryption_matches_the_example_of_rfc_8291() -> None:
    encrypted = push_encryption.encrypt(
        b"When I grow up, I want to be a watermelon",
        p256dh=decode("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
        auth=decode("BTBZMqHH6r4Tts7J_aSIgg"),
        salt=decode("DGv6ra1nlYgDCS1FRnbzlw"),
        key=int.from_bytes(decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big"),
    )
    assert encode(encrypted) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
        "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_browser_decrypts_its_message_and_no_two_messages_are_equal() -> None:
    browser = Browser("x")
    keys = {name: decode(value) for name, value in browser.subscription["keys"].items()}
    plain = '{"a":"ä"}'.encode()
    messages = [push_encryption.encrypt(plain, p256dh=keys["p256dh"], auth=keys["auth"]) for _ in range(2)]
    assert [browser.read(message) for message in messages] == [{"a": "ä"}] * 2
    assert messages[0][:16] != messages[1][:16]
    assert messages[0][21:86] != messages[1][21:86]


def test_public_key_outside_the_curve_is_rejected() -> None:
    with pytest.raises(ValueError, match=r"curve|EC key"):
        push_encryption.check_public_key(b"\4" + b"\1" * 64)


def test_vapid_signature_has_audience_subject_and_expiry() -> None:
    signer = push_encryption.VapidSigner(push_encryption.create_key())
    header = signer.authorization(audience="https://push.example", subject="mailto:a@b.example", expires_at=7)
    scheme, token, key = header.replace(",", "").split(" ")
    assert (scheme, key) == ("vapid", f"k={signer.public_key}")
    head, claims, signature = token.removeprefix("t=").split(".")
    assert json.loads(decode(head)) == {"typ": "JWT", "alg": "ES256"}
    assert json.loads(decode(claims)) == {"aud": "https://push.example", "exp": 7, "sub": "mailto:a@b.example"}
    raw = decode(signature)
    der = utils.encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decode(signer.public_key))
    public.verify(der, f"{head}.{claims}".encode(), ec.ECDSA(SHA256()))
    with pytest.raises(InvalidSignature):
        public.verify(der, f"{head}.{claims}x".encode(), ec.ECDSA(SHA256()))


def test_saved_signing_key_has_the_same_public_key() -> None:
    key = push_encryption.create_key()
    assert push_encryption.VapidSigner(key).public_key == push_encryption.VapidSigner(key).public_key
    assert len(decode(push_encryption.VapidSigner(key).public_key)) == 65

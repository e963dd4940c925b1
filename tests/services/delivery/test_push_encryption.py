"""What is pushed is sealed and signed as the standards' own examples have it."""

import json

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from services.delivery import push_encryption
from services.delivery.base64url import decode, encode
from tests.support.push_service import Browser


def test_the_example_of_rfc_8291_comes_out() -> None:
    sealed = push_encryption.encrypt(
        b"When I grow up, I want to be a watermelon",
        p256dh=decode("BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"),
        auth=decode("BTBZMqHH6r4Tts7J_aSIgg"),
        salt=decode("DGv6ra1nlYgDCS1FRnbzlw"),
        key=int.from_bytes(decode("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"), "big"),
    )
    assert encode(sealed) == (
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_"
        "yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )


def test_a_browser_reads_what_was_sealed_for_it_and_no_two_are_alike() -> None:
    browser = Browser("x")
    keys = {name: decode(value) for name, value in browser.subscription["keys"].items()}
    plain = '{"a":"ä"}'.encode()
    made = [push_encryption.encrypt(plain, p256dh=keys["p256dh"], auth=keys["auth"]) for _ in range(2)]
    assert [browser.read(each) for each in made] == [{"a": "ä"}] * 2
    assert made[0][:16] != made[1][:16]
    assert made[0][21:86] != made[1][21:86]


def test_a_point_that_is_not_on_the_curve_is_refused() -> None:
    with pytest.raises(ValueError, match=r"curve|EC key"):
        push_encryption.check_public_key(b"\4" + b"\1" * 64)


def test_the_signature_says_who_sends_to_whom_and_until_when() -> None:
    signer = push_encryption.VapidSigner(push_encryption.new_key())
    said = signer.authorization(audience="https://push.example", subject="mailto:a@b.example", expires_at=7)
    scheme, token, key = said.replace(",", "").split(" ")
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


def test_a_key_that_was_kept_is_the_same_key() -> None:
    kept = push_encryption.new_key()
    assert push_encryption.VapidSigner(kept).public_key == push_encryption.VapidSigner(kept).public_key
    assert len(decode(push_encryption.VapidSigner(kept).public_key)) == 65

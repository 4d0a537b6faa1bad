"""Signatures: only the right secret over the very same bytes passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kit.signatures import Encoding, genuine, recent, sign

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@given(
    secret=st.text(min_size=1),
    message=st.binary(),
    other=st.binary(),
    encoding=st.sampled_from(["hex", "base64"]),
)
def test_a_signature_belongs_to_one_message(
    secret: str, message: bytes, other: bytes, encoding: Encoding
) -> None:
    signature = sign(secret, message, encoding=encoding)
    assert genuine(secret, message, signature, encoding=encoding)
    assert genuine(secret, other, signature, encoding=encoding) == (other == message)
    assert not genuine(secret + "x", message, signature, encoding=encoding)


def test_hex_may_be_upper_case_and_base64_may_not() -> None:
    assert genuine("s", b"m", sign("s", b"m").upper())
    assert not genuine("s", b"m", sign("s", b"m", encoding="base64").upper(), encoding="base64")


@pytest.mark.parametrize("signature", ["", "not-a-signature", "ümlaut"])
def test_rubbish_is_no_signature(signature: str) -> None:
    assert not genuine("s", b"m", signature)


@pytest.mark.parametrize(
    ("seconds", "accepted"), [(0, True), (-300, True), (300, True), (-301, False), (301, False)]
)
def test_a_time_stamp_is_recent_on_both_sides(seconds: int, accepted: bool) -> None:
    stamp = NOON + timedelta(seconds=seconds)
    assert recent(stamp, NOON, tolerance=timedelta(minutes=5)) is accepted

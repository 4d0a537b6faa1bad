"""Values on the wire, hub ids inside texts, versions."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.tryton.wire_values import (
    from_wire,
    last_moment,
    make_version,
    marked,
    moment_to_wire,
    plain_number,
    to_wire,
    unmarked,
    wire_moment,
)

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=4)
MOMENTS = st.datetimes(timezones=st.just(UTC))
TEXTS = st.text(min_size=1).filter(lambda text: text == text.strip())


@given(DECIMALS)
def test_a_decimal_survives_the_wire(number: Decimal) -> None:
    """A decimal survives the wire and is written without an exponent."""
    text = plain_number(number)
    assert Decimal(text) == number
    assert from_wire(to_wire(text, "numeric")) == text
    assert "E" not in text
    assert not ("." in text and text.endswith(("0", ".")))


@given(MOMENTS)
def test_a_moment_survives_the_wire(moment: datetime) -> None:
    assert wire_moment(moment_to_wire(moment)) == moment


@given(st.dates())
def test_a_date_survives_the_wire(day: object) -> None:
    text = str(day)
    assert from_wire(to_wire(text, "date")) == text


@given(st.one_of(st.none(), TEXTS), st.uuids().map(str))
def test_a_hub_id_is_found_inside_a_text(text: str | None, once: str) -> None:
    assert unmarked(marked(text, once)) == (text, once)


def test_a_text_without_hub_id_stays_as_it_is() -> None:
    assert unmarked("PO tulay:7 is not at the end") == ("PO tulay:7 is not at the end", None)
    assert unmarked(None) == (None, None)


@pytest.mark.parametrize(
    ("value", "kind"),
    [("abc", "numeric"), ("NaN", "numeric"), ("tomorrow", "date"), ("x", "float"), (5, "date")],
)
def test_a_value_of_the_wrong_kind_is_refused(value: object, kind: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the message is for the caller to write
        to_wire(value, kind)


def test_a_version_changes_with_each_of_its_rows() -> None:
    party = ("party.party", {"id": 1, "_timestamp": "5.1"})
    address = ("party.address", {"id": 2, "_timestamp": "5.2"})
    moved = ("party.address", {"id": 2, "_timestamp": "5.3"})
    assert make_version([party, address]) == make_version([address, party])
    assert len({make_version(rows) for rows in ([party], [party, address], [party, moved])}) == 3


def test_the_newest_date_of_all_rows_counts() -> None:
    old, new = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)
    rows = [
        {"create_date": moment_to_wire(old), "write_date": None},
        {"create_date": moment_to_wire(old), "write_date": moment_to_wire(new)},
    ]
    assert last_moment(rows) == new
    assert last_moment([{}]) is None

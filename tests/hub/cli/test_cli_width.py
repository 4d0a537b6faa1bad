"""Tables use the width of a terminal and break no word; in a pipe a row is one line."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub.cli.table_layout import fitted, piped, text_of, width_of

LONG = "Donaudampfschiffahrtsgesellschaft mit sehr vielen Zweigniederlassungen in aller Welt"

COMMANDS = (
    ("status",),
    ("errors",),
    ("conflicts",),
    ("conflicts", "show", "1"),
    ("links", "list"),
    ("reconcile",),
    ("explain", "company", "acme.example"),
)
CELLS = st.sampled_from(
    ["", "1", "ACME", "Acme SE and Sons", "e" * 32, "\u682a\u5f0f\u4f1a\u793e ACME", LONG]
)
TABLES = st.integers(1, 6).flatmap(
    lambda n: st.tuples(
        st.lists(st.sampled_from(["no", "entity", "set aside"]), min_size=n, max_size=n),
        st.lists(st.lists(CELLS, min_size=n, max_size=n), min_size=1, max_size=5),
    )
)


@pytest.fixture
def busy(clash: Any) -> Any:
    """A conflict, a refused write, and long names."""
    clash.erp.declare("companies", required=("phone",))
    clash.crm.create("companies", name=LONG, domain="donau.example")
    clash.run("sync", "--once", code=None)
    return clash


def whole_words(lines: list[str]) -> set[str]:
    """Returns the words of some lines, but no numbers: `3 s ago` is `4 s ago` a moment later."""
    return {word for line in lines for word in line.split() if not word.isdigit()}


@pytest.mark.parametrize("width", [80, 120])
def test_every_table_fits_a_terminal(busy: Any, width: int) -> None:
    for words in COMMANDS:
        drawn = busy.drawn(*words, width=width, code=None)
        piped_lines = busy.lines(*words, code=None)
        assert whole_words(drawn) <= whole_words(piped_lines), words


def test_a_row_is_one_line_in_a_pipe(busy: Any) -> None:
    rows = busy.lines("links", "list")[1:]
    assert len(rows) == len(busy.json("links")) == 2
    assert any(LONG in row for row in rows)
    assert any(LONG in line for line in busy.lines("errors"))


def test_a_wide_terminal_is_used(busy: Any) -> None:
    narrow, wide = (busy.drawn("links", width=n) for n in (80, 160))
    assert len(wide) < len(narrow)
    assert max(map(len, wide)) > 80


@given(table=TABLES, width=st.integers(20, 120))
def test_cells_keep_words_whole_and_in_order(
    table: tuple[list[str], list[list[str]]], width: int
) -> None:
    """Side by side or in blocks: each cell's words are there, and no line is too long."""
    head, rows = table
    lines = fitted(head, rows, width)
    longest = max(
        width_of(word) for row in (head, *rows) for cell in row for word in cell.split() or [""]
    )
    for line in lines:
        assert width_of(text_of(line)) <= max(width, longest + 11)
    for n in range(len(head)):
        printed = [
            w for line in lines for text, column in line if column == n for w in text.split()
        ]
        expected = [word for row in rows for word in row[n].split()]
        assert printed[len(printed) - len(expected) :] == expected
    assert len(piped(head, rows)) == len(rows) + 1


def test_rows_that_do_not_fit_become_blocks() -> None:
    lines = [text_of(line) for line in fitted(["id", "what"], [["f" * 32, "e" * 32]], 40)]
    assert lines == ["ID    " + "f" * 32, "WHAT  " + "e" * 32]

"""The sandbox: the names of its cached templates, and that nothing is left behind."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from connectors.kit.budget import Budget
from connectors.kit.errors import UnavailableError
from connectors.tryton import sandbox
from connectors.tryton.articles import ARTICLES
from connectors.tryton.connector import TrytonConnector
from connectors.tryton.seed import Seed


def test_another_company_is_another_database() -> None:
    usual = Seed(year=2026)
    others = [
        dataclasses.replace(usual, currency="USD"),
        dataclasses.replace(usual, password="other"),
        dataclasses.replace(usual, articles=usual.articles[:1]),
        dataclasses.replace(usual, year=2027),
    ]
    assert sandbox.fingerprint(usual) == sandbox.fingerprint(Seed(year=2026))
    assert len({sandbox.fingerprint(each) for each in (usual, *others)}) == 5


def test_the_cache_can_be_put_elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TULAY_CACHE", str(tmp_path / "mine"))
    assert sandbox.default_cache() == tmp_path / "mine"
    monkeypatch.delenv("TULAY_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert sandbox.default_cache() == tmp_path / "tulay"


def test_a_missing_program_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UnavailableError, match="pip install"):
        sandbox._program("trytond-that-nobody-has")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("postgresql://postgres:@/postgres?host=/run/pg", "postgresql://postgres@/?host=/run/pg"),
        ("postgresql://me:pw@db:6543/x", "postgresql://me:pw@db:6543/"),
        ("host=db user=me", "postgresql://me@db:5432/"),
    ],
)
def test_trytond_gets_the_same_server(uri: str, expected: str) -> None:
    assert sandbox._tryton_uri(uri) == expected


def test_nothing_is_left_when_a_sandbox_ends(tmp_path: Path) -> None:
    with sandbox.start(tmp_path) as running:
        connector = TrytonConnector(running.settings(), Budget(1000, 1.0, sleep=lambda _: None))
        assert next(connector.pages("product.product", None)).total == len(ARTICLES)
        assert len(list(tmp_path.iterdir())) == 1
    running.stop()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UnavailableError):
        connector.fetch("product.product", ["1"])
    connector.close()

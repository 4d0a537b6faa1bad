"""What a worker logs about its runs: one line each, and none when nothing happened."""

from __future__ import annotations

import logging
from contextlib import closing
from threading import Event
from typing import Any

import pytest

from connectors.memory import Faults
from hub.sync.due import Work
from worker.execute import perform


def test_one_line_a_run_and_none_without_news(shop: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="tulay.runs")
    shop.crm.create("companies", name="ACME")
    works = [
        Work("pull", "crm", "companies"),
        Work("pull", "erp", "companies"),
        Work("push", "erp"),
    ]

    def lines() -> list[str]:
        caplog.clear()
        for work in works:
            perform(hub, work, Event())
        return [record.getMessage().rpartition(", in ")[0] for record in caplog.records]

    with closing(shop.hub()) as hub:
        assert lines() == ["pull crm.companies: 1 changed, of 1 seen", "push erp: 1 written"]
        assert lines() == []
        shop.crm.faults = Faults(down=True)
        perform(hub, works[0], Event())
    (failed,) = caplog.records
    assert failed.levelno == logging.WARNING
    assert (failed.__dict__["run_kind"], failed.__dict__["connection"]) == ("pull", "crm")

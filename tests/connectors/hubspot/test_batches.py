"""A batch, whatever its answer looks like: every row gets its own result."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.hubspot.batches import run_batch
from connectors.kit.errors import (
    ContractError,
    CredentialsError,
    RecordMissingError,
    RecordRejectedError,
    UnavailableError,
)

Json = dict[str, Any]


def never(stream: str, row: Json) -> Json:
    raise AssertionError("no single call was expected")


def rows(count: int) -> list[Json]:
    return [{"id": str(100 + n), "properties": {"n": str(n)}} for n in range(count)]


@given(
    fates=st.lists(st.sampled_from(["written", "refused", "missing", "silence"]), max_size=12),
    order=st.randoms(use_true_random=False),
)
def test_results_are_matched_in_any_order(fates: list[str], order: Any) -> None:
    """Results and errors find their rows in whatever order they arrive."""

    def together(stream: str, inputs: Sequence[Json]) -> Json:
        results, errors = [], []
        for fate, one in zip(fates, inputs, strict=True):
            trace = one["objectWriteTraceId"]
            if fate == "written":
                results.append({"id": one["id"], "objectWriteTraceId": trace})
            elif fate == "refused":
                context = {"objectWriteTraceId": [trace]}
                errors.append({"category": "VALIDATION_ERROR", "context": context})
            elif fate == "missing":
                errors.append({"category": "OBJECT_NOT_FOUND", "context": {"ids": [one["id"]]}})
        order.shuffle(results)
        order.shuffle(errors)
        return {"results": results, "errors": errors}

    found = run_batch("companies", rows(len(fates)), together=together, single=never)
    kinds = {
        "refused": RecordRejectedError,
        "missing": RecordMissingError,
        "silence": UnavailableError,
    }
    for number, (fate, result) in enumerate(zip(fates, found, strict=True)):
        if fate == "written":
            assert result == str(100 + number)
        else:
            assert type(result) is kinds[fate]


def test_an_error_may_name_several_rows() -> None:
    def together(stream: str, inputs: Sequence[Json]) -> Json:
        traces = [one["objectWriteTraceId"] for one in inputs]
        return {"results": [], "errors": [{"context": {"objectWriteTraceId": traces}}]}

    found = run_batch("companies", rows(3), together=together, single=never)
    assert [type(one) for one in found] == [RecordRejectedError] * 3


def test_an_unnamed_error_belongs_to_the_rest() -> None:
    """An error that names no row belongs to every row without a result."""

    def together(stream: str, inputs: Sequence[Json]) -> Json:
        return {"results": [{"id": "100"}], "errors": [{"category": "VALIDATION_ERROR"}]}

    first, second = run_batch("companies", rows(2), together=together, single=never)
    assert first == "100"
    assert isinstance(second, RecordRejectedError)


def test_an_answer_needs_results() -> None:
    with pytest.raises(ContractError):
        run_batch("companies", rows(1), together=lambda stream, inputs: {}, single=never)


def test_single_calls_stop_at_a_refused_token() -> None:
    calls = []

    def together(stream: str, inputs: Sequence[Json]) -> Json:
        raise RecordRejectedError("no", stream=stream)

    def single(stream: str, row: Json) -> Json:
        calls.append(row["id"])
        raise CredentialsError("the token was revoked")

    found = run_batch("companies", rows(3), together=together, single=single)
    assert calls == ["100"]
    assert [type(one) for one in found] == [CredentialsError] * 3


def test_no_rows_make_no_call() -> None:
    def together(stream: str, inputs: Sequence[Json]) -> Json:
        raise AssertionError("no call was expected")

    assert run_batch("companies", [], together=together, single=never) == []

"""The receivers' OpenAPI document, fuzzed: only documented answers, no errors of ours."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.store.engine import open_store
from hub.store.migrate import migrate
from hub.web.openapi import DOCUMENT
from tests.security.receivers import app_over


def test_every_answer_is_as_documented(database_url: str) -> None:
    import schemathesis  # importing it takes a second, for which every worker of pytest would wait

    store = open_store(database_url)
    examples = 20 if store.embedded else 60  # the quick suite waits less than the server tier
    migrate(store)
    document = schemathesis.openapi.from_asgi("/openapi.json", app_over(store))
    operations = [found.ok() for found in document.get_all_operations()]
    # schemathesis leaves out the path of the document itself.
    assert {operation.path for operation in operations} == {*DOCUMENT["paths"]} - {"/openapi.json"}

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    @given(data=st.data())
    def fuzzed(data: Any) -> None:
        operation = data.draw(st.sampled_from(operations))
        data.draw(operation.as_strategy()).call_and_validate()

    fuzzed()
    store.close()

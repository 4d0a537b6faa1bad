"""The HTTP client: retries, the error table, redirects, addresses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx
import pytest
import respx
from httpx import Response

from connectors.kit.budget import Budget
from connectors.kit.errors import (
    ContractError,
    CredentialsError,
    RateLimitedError,
    RecordMissingError,
    RecordRejectedError,
    RecordStaleError,
    UnavailableError,
)
from connectors.kit.http import Http, read_json, retry_after

HOST = "https://crm.example"


class Time:
    """A clock that advances only by sleeping."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def http(time: Time) -> Http:
    return Http(HOST, auth=None, budget=Budget(clock=time, sleep=time.sleep))


@respx.mock
def test_a_repeatable_call_is_retried(http: Http) -> None:
    route = respx.get(f"{HOST}/things").mock(
        side_effect=[Response(503), httpx.ReadTimeout("slow"), Response(200, json={"a": 1})]
    )
    assert read_json(http.request("GET", "/things", repeatable=True)) == {"a": 1}
    assert route.call_count == 3


@respx.mock
@pytest.mark.parametrize("failure", [Response(502), httpx.ReadTimeout("slow")])
def test_an_unrepeatable_call_is_made_once(
    http: Http, failure: Response | httpx.ReadTimeout
) -> None:
    route = respx.post(f"{HOST}/things").mock(side_effect=[failure])
    with pytest.raises(UnavailableError):
        http.request("POST", "/things", json={}, repeatable=False)
    assert route.call_count == 1


@respx.mock
def test_a_rate_limited_call_is_repeated(http: Http, time: Time) -> None:
    """A rate limited call has not happened, and is made again."""
    respx.post(f"{HOST}/things").mock(
        side_effect=[Response(429, headers={"Retry-After": "7"}), Response(201, json={})]
    )
    assert http.request("POST", "/things", json={}, repeatable=False).status_code == 201
    assert sum(time.slept) == pytest.approx(7)


@respx.mock
def test_a_long_rate_limit_is_not_sat_out(http: Http, time: Time) -> None:
    respx.get(f"{HOST}/things").mock(return_value=Response(429, headers={"Retry-After": "3600"}))
    with pytest.raises(RateLimitedError) as raised:
        http.request("GET", "/things", repeatable=True)
    assert raised.value.retry_after == timedelta(hours=1)
    assert sum(time.slept) == 0


@respx.mock
def test_a_system_that_stays_down_is_given_up(http: Http) -> None:
    route = respx.get(f"{HOST}/things").mock(return_value=Response(500))
    with pytest.raises(UnavailableError, match="GET /things answered 500"):
        http.request("GET", "/things", repeatable=True)
    assert 1 < route.call_count < 10


@respx.mock
@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RecordRejectedError),
        (401, CredentialsError),
        (403, CredentialsError),
        (404, RecordMissingError),
        (409, RecordRejectedError),
        (412, RecordStaleError),
        (418, ContractError),
        (422, RecordRejectedError),
    ],
)
def test_a_status_becomes_an_error_by_recovery(
    http: Http, status: int, error: type[Exception]
) -> None:
    respx.patch(f"{HOST}/things/5").mock(return_value=Response(status, text="Ann's data"))
    with pytest.raises(error) as raised:
        http.request("PATCH", "/things/5", repeatable=False, stream="things", key="5")
    assert "Ann" not in str(raised.value)
    assert type(raised.value) is error


@respx.mock
def test_a_404_without_a_key_breaks_the_contract(http: Http) -> None:
    respx.get(f"{HOST}/nowhere").mock(return_value=Response(404))
    with pytest.raises(ContractError):
        http.request("GET", "/nowhere", repeatable=True)


@respx.mock
def test_an_accepted_status_is_returned(http: Http) -> None:
    respx.get(f"{HOST}/things").mock(return_value=Response(404))
    assert http.request("GET", "/things", repeatable=True, accept={404}).status_code == 404


@respx.mock
def test_a_connector_overrides_single_statuses(time: Time) -> None:
    http = Http(
        HOST,
        auth=None,
        budget=Budget(clock=time, sleep=time.sleep),
        statuses={404: lambda reply: UnavailableError(str(reply))},
    )
    respx.get(f"{HOST}/things").mock(return_value=Response(404))
    with pytest.raises(UnavailableError):
        http.request("GET", "/things", repeatable=False)


@respx.mock
def test_a_redirect_elsewhere_gets_no_credentials(http: Http) -> None:
    """A redirect to another host is refused and gets no credentials."""
    respx.get(f"{HOST}/things").mock(
        return_value=Response(302, headers={"Location": "https://evil.example/things"})
    )
    elsewhere = respx.get("https://evil.example/things").mock(return_value=Response(200))
    with pytest.raises(ContractError, match=r"evil\.example"):
        http.request("GET", "/things", repeatable=True)
    assert not elsewhere.called


@respx.mock
def test_a_redirect_on_the_same_host_is_followed(http: Http) -> None:
    respx.get(f"{HOST}/old").mock(return_value=Response(301, headers={"Location": "/new"}))
    respx.get(f"{HOST}/new").mock(return_value=Response(200, json=[]))
    assert read_json(http.request("GET", "/old", repeatable=True)) == []


@respx.mock
def test_a_redirect_in_circles_is_left(http: Http) -> None:
    respx.get(f"{HOST}/a").mock(return_value=Response(301, headers={"Location": "/a"}))
    with pytest.raises(ContractError, match="circles"):
        http.request("GET", "/a", repeatable=True)


@pytest.mark.parametrize("address", ["http://crm.example", "ftp://x", "crm.example", "https://"])
def test_credentials_are_not_sent_unencrypted(address: str) -> None:
    with pytest.raises(CredentialsError):
        Http(address, auth=None, budget=Budget())


@pytest.mark.parametrize("address", ["http://localhost:1", "http://127.0.0.1:1", "http://[::1]:1"])
def test_loopback_may_be_unencrypted(address: str) -> None:
    Http(address, auth=None, budget=Budget()).close()


@respx.mock
def test_the_servers_clock_is_noted(http: Http) -> None:
    respx.get(f"{HOST}/things").mock(
        return_value=Response(200, headers={"Date": "Thu, 01 Oct 2026 10:00:00 GMT"})
    )
    http.request("GET", "/things", repeatable=True)
    assert http.server_date == datetime(2026, 10, 1, 10, tzinfo=UTC)


@respx.mock
def test_an_answer_must_be_json(http: Http) -> None:
    respx.get(f"{HOST}/things").mock(return_value=Response(200, text="<html>"))
    with pytest.raises(ContractError, match="/things"):
        read_json(http.request("GET", "/things?name=Ann", repeatable=True))


@respx.mock
def test_a_truncated_answer_is_requested_again(http: Http) -> None:
    respx.get(f"{HOST}/things").mock(
        side_effect=[Response(200, text='{"a": '), Response(200, text='{"a": 1}')]
    )
    assert http.json("GET", "/things", repeatable=True) == {"a": 1}


@respx.mock
@pytest.mark.parametrize("text", ['{"a": ', "<html>"])
def test_a_garbled_answer_leaves_a_write_in_doubt(http: Http, text: str) -> None:
    route = respx.post(f"{HOST}/things").mock(return_value=Response(201, text=text))
    with pytest.raises(UnavailableError):
        http.json("POST", "/things", json={}, repeatable=False)
    assert route.call_count == 1


@respx.mock
def test_a_web_page_instead_of_json_is_refused(http: Http) -> None:
    respx.get(f"{HOST}/things").mock(return_value=Response(200, text="<html>"))
    with pytest.raises(ContractError):
        http.json("GET", "/things", repeatable=True)


@pytest.mark.parametrize(
    ("header", "seconds"), [("3", 3), ("0.5", 0.5), ("-1", 0), ("soon", None), ("", None)]
)
def test_retry_after_is_read_leniently(header: str, seconds: float | None) -> None:
    wait = retry_after(Response(429, headers={"Retry-After": header}))
    assert (wait.total_seconds() if wait is not None else None) == seconds


def test_retry_after_may_be_a_past_date() -> None:
    response = Response(429, headers={"Retry-After": "Thu, 01 Oct 2020 10:00:00 GMT"})
    assert retry_after(response) == timedelta(0)

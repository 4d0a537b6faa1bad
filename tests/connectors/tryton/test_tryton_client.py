"""The client: sessions, versions, errors; the server is faked at the HTTP edge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import orjson
import pytest
import respx

from connectors.kit.budget import Budget
from connectors.kit.errors import (
    ContractError,
    CredentialsError,
    RateLimitedError,
    RecordRejectedError,
    RecordStaleError,
    UnavailableError,
)
from connectors.tryton.client import Account, TrytonClient

URL = "https://tryton.example.com"


class Server:
    """Answers by method name; remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any], httpx.Request]] = []
        self.answers: dict[str, Any] = {
            "common.server.version": "8.2",
            "common.db.login": [1, "token-1", None],
            "model.res.user.get_preferences": {"company": 1, "language": "en", "locale": {}},
        }

    def __call__(self, request: httpx.Request) -> httpx.Response:
        body = orjson.loads(request.content)
        self.asked.append((body["method"], body, request))
        answer = self.answers[body["method"]]
        if callable(answer):
            answer = answer()
        if isinstance(answer, httpx.Response):
            return answer
        return httpx.Response(200, json={"id": body["id"], "result": answer})

    def methods(self) -> list[str]:
        return [method for method, _, _ in self.asked]

    def last(self) -> tuple[dict[str, Any], httpx.Request]:
        return self.asked[-1][1:]


@pytest.fixture
def server() -> Iterator[Server]:
    answering = Server()
    with respx.mock(assert_all_called=False) as router:
        router.post(url__startswith=URL).mock(side_effect=answering)
        yield answering


@pytest.fixture
def client(server: Server) -> Iterator[TrytonClient]:
    opened = connect()
    yield opened
    opened.close()


def connect(**account: Any) -> TrytonClient:
    budget = Budget(requests=1000, per_seconds=1.0, sleep=lambda seconds: None)
    return TrytonClient(Account(URL, "erp", "tulay", "secret", **account), budget)


def error(*words: Any) -> httpx.Response:
    return httpx.Response(200, json={"id": 1, "error": list(words)})


def in_turn(*answers: Any) -> Callable[[], Any]:
    left = list(answers)
    return lambda: left.pop(0)


def test_it_logs_in_once_and_keeps_the_session(client: TrytonClient, server: Server) -> None:
    server.answers["model.party.party.search"] = [1]
    client.search("party.party", [])
    client.search("party.party", [])
    assert server.methods().count("common.db.login") == 1
    _, request = server.last()
    assert request.headers["authorization"] == "Session dHVsYXk6MTp0b2tlbi0x"


def test_a_call_has_three_keys_and_a_context(client: TrytonClient, server: Server) -> None:
    """A call has exactly three keys, and the context comes last."""
    server.answers["model.party.party.search"] = []
    client.search("party.party", [["name", "=", "ACME"]])
    body, request = server.last()
    assert set(body) == {"id", "method", "params"}
    assert body["params"][-1] == {"company": 1, "language": "en", "active_test": False}
    assert request.headers["accept-encoding"] == "gzip"
    assert request.url.path == "/erp/rpc/"


def test_an_older_server_has_its_own_address(client: TrytonClient, server: Server) -> None:
    server.answers["common.server.version"] = in_turn(httpx.Response(401), "7.0.59")
    server.answers["common.db.login"] = [1, "token-1"]
    server.answers["model.party.party.search"] = []
    client.search("party.party", [])
    assert client.series() == "7.0"
    assert server.last()[1].url.path == "/erp/"


def test_an_expired_session_is_reopened(client: TrytonClient, server: Server) -> None:
    """An expired session is opened again and the call repeated."""
    client.context()
    server.answers["model.party.party.create"] = in_turn(httpx.Response(401), [7])
    server.answers["common.db.login"] = [1, "token-2", None]
    assert client.call("model.party.party.create", [{"name": "ACME"}]) == [7]
    assert server.methods().count("common.db.login") == 2
    assert server.methods().count("model.party.party.create") == 2


def test_a_session_that_ends_at_once_is_reported(client: TrytonClient, server: Server) -> None:
    """A session that ends at once needs a person."""
    server.answers["model.party.party.search"] = httpx.Response(401)
    with pytest.raises(CredentialsError):
        client.search("party.party", [])
    assert server.methods().count("common.db.login") == 2


def test_a_wrong_password_is_tried_once(client: TrytonClient, server: Server) -> None:
    server.answers["common.db.login"] = httpx.Response(401)
    with pytest.raises(CredentialsError, match="check login and password") as caught:
        client.context()
    assert server.methods().count("common.db.login") == 1
    assert "secret" not in str(caught.value)


def test_too_many_logins_wait(client: TrytonClient, server: Server) -> None:
    server.answers["common.db.login"] = httpx.Response(429)
    with pytest.raises(RateLimitedError) as caught:
        client.context()
    assert caught.value.retry_after is not None
    assert server.methods().count("common.db.login") == 1


def test_an_unknown_database_needs_a_person(client: TrytonClient, server: Server) -> None:
    server.answers["common.db.login"] = httpx.Response(404)
    with pytest.raises(CredentialsError, match="database 'erp'"):
        client.context()


def test_a_second_login_factor_needs_a_person(client: TrytonClient, server: Server) -> None:
    """A login that requires more than a password needs a person."""
    server.answers["common.db.login"] = error("LoginException", ["sms", "Code", "char"])
    with pytest.raises(CredentialsError, match="more than a password"):
        client.context()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error("UserError", ["The VAT number is wrong.", "", None]), RecordRejectedError),
        (error("ConcurrencyException", "Records were modified"), RecordStaleError),
        (error("'nope'", ""), ContractError),
        (error("unsupported operand", ""), ContractError),
        (error("'res.user'", ""), UnavailableError),
        (error("database is locked", ""), UnavailableError),
        (httpx.Response(403), ContractError),
        (httpx.Response(422), ContractError),
        (httpx.Response(504), UnavailableError),
        (httpx.Response(200, text="<html>"), ContractError),
        (httpx.Response(200, json=[1]), ContractError),
    ],
)
def test_an_error_says_what_to_do_next(
    client: TrytonClient, server: Server, answer: httpx.Response, kind: type[Exception]
) -> None:
    server.answers["model.party.party.write"] = answer
    with pytest.raises(kind) as caught:
        client.call("model.party.party.write", [5], {}, stream="party.party", key="5")
    assert type(caught.value) is kind
    assert server.methods().count("model.party.party.write") == 1
    if isinstance(caught.value, RecordRejectedError | RecordStaleError):
        assert (caught.value.stream, caught.value.key) == ("party.party", "5")


def test_a_refusal_carries_the_servers_sentence(client: TrytonClient, server: Server) -> None:
    server.answers["model.party.party.write"] = error("UserError", ["Too long.", "By 3.", None])
    with pytest.raises(RecordRejectedError, match=r"^Too long\. By 3\.$"):
        client.call("model.party.party.write", [5], {})


def test_a_write_without_answer_is_not_repeated(client: TrytonClient, server: Server) -> None:
    client.context()

    def break_off() -> httpx.Response:
        raise httpx.ReadTimeout("no answer")

    server.answers["model.party.party.create"] = break_off
    with pytest.raises(UnavailableError):
        client.call("model.party.party.create", [{}])
    assert server.methods().count("model.party.party.create") == 1


def test_a_missing_read_right_needs_a_person(client: TrytonClient, server: Server) -> None:
    server.answers["model.sale.sale.search"] = error("UserError", ["You are not allowed.", ""])
    with pytest.raises(CredentialsError, match=r"may not read sale\.sale"):
        client.search("sale.sale", [])


def test_a_warning_is_answered_with_yes(client: TrytonClient, server: Server) -> None:
    server.answers["model.account.invoice.post"] = in_turn(
        error("UserWarning", ["abc.invoice_taxes", "No taxes.", ""]), None
    )
    server.answers["model.res.user.warning.skip"] = None
    client.call("model.account.invoice.post", [1])
    skipped = next(body for name, body, _ in server.asked if name.endswith("warning.skip"))
    assert skipped["params"][:2] == ["abc.invoice_taxes", False]


def test_a_warning_for_a_person_is_a_refusal(server: Server) -> None:
    client = connect(skip_warnings=False)
    server.answers["model.account.invoice.post"] = error("UserWarning", ["a", "No taxes.", ""])
    with pytest.raises(RecordRejectedError, match=r"No taxes\."):
        client.call("model.account.invoice.post", [1])
    client.close()


def test_an_endless_warning_ends_in_a_refusal(client: TrytonClient, server: Server) -> None:
    server.answers["model.account.invoice.post"] = lambda: error("UserWarning", ["a", "Hm.", ""])
    server.answers["model.res.user.warning.skip"] = None
    with pytest.raises(RecordRejectedError, match="again and again"):
        client.call("model.account.invoice.post", [1])


def test_a_company_can_be_chosen_by_name(server: Server) -> None:
    client = connect(company="Works")
    server.answers["model.company.company.search"] = [4]
    assert client.context()["company"] == 4
    client.close()


def test_an_invisible_company_needs_a_person(server: Server) -> None:
    client = connect(company="9")
    server.answers["model.company.company.search"] = []
    with pytest.raises(CredentialsError, match="setting `company`"):
        client.context()
    client.close()


def test_logging_out_makes_the_next_call_log_in(client: TrytonClient, server: Server) -> None:
    client.context()
    server.answers["common.db.logout"] = None
    server.answers["model.party.party.search"] = []
    client.logout()
    client.search("party.party", [])
    assert server.methods().count("common.db.login") == 2


def test_the_password_is_in_no_representation() -> None:
    assert "secret" not in repr(Account(URL, "erp", "tulay", "secret"))

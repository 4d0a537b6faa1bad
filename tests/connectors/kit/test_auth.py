"""Auth flows: tokens are renewed in time, rotated ones are stored, refusals stop the connection."""

from __future__ import annotations

import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

import httpx
import pytest
import respx
from httpx import Response

from connectors.kit.auth import BearerAuth, KeyAuth, MemoryTokens, OAuthAuth, Token
from connectors.kit.errors import ContractError, CredentialsError, UnavailableError

API = "https://crm.example/things"
TOKENS = "https://crm.example/oauth/token"
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def oauth(clock: Clock, store: MemoryTokens, **options: object) -> OAuthAuth:
    known = {"client_id": "id", "client_secret": "s3cret", "refresh_token": "first"}
    still = {"clock": clock, "sleep": clock.sleep}
    return OAuthAuth(TOKENS, store=store, **{**known, **still, **options})  # type: ignore[arg-type]


def answer(access: str, refresh: str | None = None) -> Response:
    body = {"access_token": access, "expires_in": 1800}
    return Response(200, json=body | ({"refresh_token": refresh} if refresh else {}))


def sent(call: respx.models.Call) -> dict[str, list[str]]:
    return parse_qs(call.request.content.decode())


@respx.mock
def test_static_credentials_go_into_their_header() -> None:
    route = respx.get(API).mock(return_value=Response(200))
    with httpx.Client() as client:
        client.get(API, auth=BearerAuth("pat"))
        client.get(API, auth=KeyAuth("X-Key", "k"))
    assert route.calls[0].request.headers["authorization"] == "Bearer pat"
    assert route.calls[1].request.headers["x-key"] == "k"


@respx.mock
def test_a_token_is_used_until_just_before_expiry(clock: Clock) -> None:
    tokens = respx.post(TOKENS).mock(side_effect=[answer("one"), answer("two")])
    route = respx.get(API).mock(return_value=Response(200))
    auth = oauth(clock, MemoryTokens())
    with httpx.Client(auth=auth) as client:
        client.get(API)
        clock.now += timedelta(seconds=1500)
        client.get(API)
        clock.now += timedelta(seconds=250)
        client.get(API)
    assert tokens.call_count == 2
    assert [call.request.headers["authorization"] for call in route.calls] == [
        "Bearer one",
        "Bearer one",
        "Bearer two",
    ]


@respx.mock
def test_a_rotated_refresh_token_is_stored(clock: Clock) -> None:
    tokens = respx.post(TOKENS).mock(side_effect=[answer("one", "second"), answer("two", "third")])
    respx.get(API).mock(return_value=Response(200))
    store = MemoryTokens()
    with httpx.Client(auth=oauth(clock, store)) as client:
        client.get(API)
        clock.now += timedelta(hours=1)
        client.get(API)
    assert [sent(call)["refresh_token"] for call in tokens.calls] == [["first"], ["second"]]
    stored = store.load()
    assert stored is not None
    assert stored.refresh == "third"


@respx.mock
def test_a_token_renewed_elsewhere_is_used(clock: Clock) -> None:
    """A token that another process has renewed is used."""
    tokens = respx.post(TOKENS).mock(return_value=answer("mine"))
    route = respx.get(API).mock(return_value=Response(200))
    store = MemoryTokens(Token("theirs", NOON + timedelta(minutes=20), "other"))
    with httpx.Client(auth=oauth(clock, store)) as client:
        client.get(API)
    assert not tokens.called
    assert route.calls[0].request.headers["authorization"] == "Bearer theirs"


@respx.mock
def test_a_new_token_replaces_a_revoked_one(clock: Clock) -> None:
    """A new refresh token in the settings replaces a revoked one that is stored."""
    tokens = respx.post(TOKENS).mock(side_effect=[Response(400), answer("one")])
    respx.get(API).mock(return_value=Response(200))
    store = MemoryTokens(Token("old", NOON - timedelta(days=1), "revoked"))
    with httpx.Client(auth=oauth(clock, store)) as client:
        client.get(API)
    assert [sent(call)["refresh_token"] for call in tokens.calls] == [["revoked"], ["first"]]


@respx.mock
def test_many_threads_renew_a_token_once(clock: Clock) -> None:
    tokens = respx.post(TOKENS).mock(side_effect=[answer("one"), answer("two")])
    respx.get(API).mock(return_value=Response(200))
    auth = oauth(clock, MemoryTokens())
    with httpx.Client(auth=auth) as client, ThreadPoolExecutor(8) as pool:
        list(pool.map(client.get, [API] * 24))
    assert tokens.call_count == 1


@pytest.mark.parametrize("key", ["pat\nna1", "pät"])
def test_a_key_unfit_for_a_header_is_refused(key: str) -> None:
    with pytest.raises(CredentialsError) as raised:
        BearerAuth(key)
    assert key not in str(raised.value)


@respx.mock
def test_client_credentials_need_no_refresh_token(clock: Clock) -> None:
    tokens = respx.post(TOKENS).mock(return_value=answer("one"))
    respx.get(API).mock(return_value=Response(200))
    auth = oauth(clock, MemoryTokens(), refresh_token=None, extra={"scope": "all"})
    with httpx.Client(auth=auth) as client:
        client.get(API)
    assert sent(tokens.calls[0])["grant_type"] == ["client_credentials"]
    assert sent(tokens.calls[0])["scope"] == ["all"]


@respx.mock
@pytest.mark.parametrize(
    ("response", "error"),
    [
        (Response(400, json={"error": "invalid_grant"}), CredentialsError),
        (Response(401), CredentialsError),
        (Response(429), UnavailableError),
        (Response(503), UnavailableError),
        (Response(200, json={}), ContractError),
        (Response(200, text="<html>"), ContractError),
        (Response(200, text='{"access_token": "hal'), UnavailableError),
    ],
)
def test_a_refused_grant_says_what_to_do(
    clock: Clock, response: Response, error: type[Exception]
) -> None:
    respx.post(TOKENS).mock(return_value=response)
    with httpx.Client(auth=oauth(clock, MemoryTokens())) as client, pytest.raises(error) as raised:
        client.get(API)
    assert "s3cret" not in str(raised.value)


@respx.mock
def test_a_401_renews_the_token_only_on_request(clock: Clock) -> None:
    tokens = respx.post(TOKENS).mock(side_effect=[answer("one"), answer("one"), answer("two")])
    respx.get(API).mock(side_effect=[Response(401), Response(401), Response(200)])
    with httpx.Client() as client:
        assert client.get(API, auth=oauth(clock, MemoryTokens())).status_code == 401
        eager = oauth(clock, MemoryTokens(), renew_on_401=True)
        assert client.get(API, auth=eager).status_code == 200
    assert tokens.call_count == 3


@respx.mock
def test_a_token_is_renewed_once_per_expiry(clock: Clock) -> None:
    short = {"access_token": "one", "expires_in": 4}
    tokens = respx.post(TOKENS).mock(return_value=Response(200, json=short))
    respx.get(API).mock(return_value=Response(200))
    with httpx.Client(auth=oauth(clock, MemoryTokens())) as client:
        for _ in range(4):
            client.get(API)
            clock.sleep(1.4)
    assert tokens.call_count == 2


@respx.mock
def test_a_token_of_other_settings_is_not_used(clock: Clock) -> None:
    """Another account is connected: it must not use the token of the first one."""
    tokens = respx.post(TOKENS).mock(side_effect=[answer("one", "second"), answer("two")])
    route = respx.get(API).mock(return_value=Response(200))
    store = MemoryTokens()
    with httpx.Client(auth=oauth(clock, store)) as client:
        client.get(API)
    with httpx.Client(auth=oauth(clock, store)) as client:
        client.get(API)
    with httpx.Client(auth=oauth(clock, store, refresh_token="another account")) as client:
        client.get(API)
    assert [sent(call)["refresh_token"] for call in tokens.calls] == [
        ["first"],
        ["another account"],
    ]
    assert [call.request.headers["authorization"] for call in route.calls] == [
        "Bearer one",
        "Bearer one",
        "Bearer two",
    ]


@respx.mock
def test_a_rotation_in_doubt_is_refused_clearly(clock: Clock) -> None:
    """An answer lost after the rotation ends in a clear refusal."""
    tokens = respx.post(TOKENS).mock(
        side_effect=[httpx.ReadError("reset"), Response(400, json={"error": "invalid_grant"})]
    )
    respx.get(API).mock(return_value=Response(200))
    with httpx.Client(auth=oauth(clock, MemoryTokens())) as client:
        with pytest.raises(httpx.ReadError):
            client.get(API)
        with pytest.raises(CredentialsError, match=r"answer to the renewal before was lost.*again"):
            client.get(API)
    assert [sent(call)["refresh_token"] for call in tokens.calls] == [["first"], ["first"]]


@respx.mock
def test_a_renewal_lost_early_is_repeated(clock: Clock) -> None:
    """An answer lost before the rotation is requested again."""
    respx.post(TOKENS).mock(side_effect=[httpx.ReadError("reset"), answer("one"), Response(400)])
    respx.get(API).mock(return_value=Response(200))
    with httpx.Client(auth=oauth(clock, MemoryTokens())) as client:
        with pytest.raises(httpx.ReadError):
            client.get(API)
        assert client.get(API).status_code == 200
        clock.sleep(3600)
        with pytest.raises(CredentialsError) as raised:
            client.get(API)
    assert "lost" not in str(raised.value)


class Forgetful(MemoryTokens):
    """A store whose database is away for a while."""

    down = True

    def save(self, token: Token) -> None:
        if self.down:
            raise UnavailableError("the database does not answer")
        super().save(token)


@respx.mock
def test_an_unstored_token_is_used_meanwhile(clock: Clock) -> None:
    """A token that could not be stored is used, and stored later."""
    tokens = respx.post(TOKENS).mock(side_effect=[answer("one", "second"), answer("two", "third")])
    respx.get(API).mock(return_value=Response(200))
    store = Forgetful()
    with httpx.Client(auth=oauth(clock, store)) as client:
        client.get(API)
        clock.sleep(3600)
        client.get(API)
        assert store.load() is None
        store.down = False
        client.get(API)
    assert [sent(call)["refresh_token"] for call in tokens.calls] == [["first"], ["second"]]
    stored = store.load()
    assert stored is not None
    assert stored.refresh == "third"


class Busy(MemoryTokens):
    """A store where another process is renewing."""

    def __init__(self, turns: int, token: Token | None = None) -> None:
        super().__init__()
        self.turns, self.then = turns, token
        self.given_back = 0

    def claim(self) -> bool:
        self.turns -= 1
        if self.turns == 0 and self.then is not None:
            self.save(self.then)
        return self.turns < 0

    def release(self) -> None:
        self.given_back += 1


@respx.mock
def test_a_renewal_elsewhere_is_waited_for(clock: Clock) -> None:
    tokens = respx.post(TOKENS).mock(return_value=answer("mine"))
    route = respx.get(API).mock(return_value=Response(200))
    with httpx.Client(auth=oauth(clock, Busy(3, Token("theirs", NOON + timedelta(hours=1))))) as c:
        c.get(API)
    assert not tokens.called
    assert route.calls[0].request.headers["authorization"] == "Bearer theirs"


@respx.mock
def test_the_lease_of_the_dead_is_taken_over(clock: Clock) -> None:
    respx.post(TOKENS).mock(side_effect=[Response(503), answer("mine")])
    respx.get(API).mock(return_value=Response(200))
    store = Busy(5)
    with httpx.Client(auth=oauth(clock, store)) as client:
        with pytest.raises(UnavailableError):
            client.get(API)
        assert client.get(API).status_code == 200
    assert store.given_back == 2


def test_an_endless_wait_is_an_error(clock: Clock) -> None:
    with (
        httpx.Client(auth=oauth(clock, Busy(10_000))) as client,
        pytest.raises(UnavailableError, match="another process"),
    ):
        client.get(API)


@respx.mock
@pytest.mark.parametrize("token", ["hush\r\nX-Evil: 1", "", 17, None, ["hush"]])
def test_only_a_token_goes_into_a_header(clock: Clock, token: object) -> None:
    respx.post(TOKENS).mock(return_value=Response(200, json={"access_token": token}))
    with (
        httpx.Client(auth=oauth(clock, MemoryTokens())) as client,
        pytest.raises(ContractError) as raised,
    ):
        client.get(API)
    assert "hush" not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize("url", ["http://crm.example/token", "ftp://crm.example", "nonsense"])
def test_secrets_go_to_no_unencrypted_address(clock: Clock, url: str) -> None:
    with pytest.raises(CredentialsError, match="token endpoint"):
        OAuthAuth(url, client_id="id", client_secret="s3cret")


@respx.mock
def test_a_token_endpoint_is_never_redirected(clock: Clock) -> None:
    away = Response(307, headers={"Location": "https://evil.example/token"})
    respx.post(TOKENS).mock(return_value=away)
    evil = respx.route(host="evil.example").mock(return_value=answer("one"))
    with (
        httpx.Client(auth=oauth(clock, MemoryTokens())) as client,
        pytest.raises(ContractError, match="redirected"),
    ):
        client.get(API)
    assert not evil.called


def test_a_token_does_not_show_itself() -> None:
    assert "hush" not in repr(Token("hush", NOON, "hush"))

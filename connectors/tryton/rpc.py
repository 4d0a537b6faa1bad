"""Tryton's JSON-RPC: addresses, release series, sessions. The only file with paths."""

from __future__ import annotations

import base64
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from connectors.kit.budget import Budget
from connectors.kit.errors import ContractError, CredentialsError, RateLimitedError
from connectors.kit.http import Http, read_json
from connectors.tryton.errors import Call, no_such_database, no_such_method

#: Time-out of a call; Tryton itself gives up reading after 60 s.
TIMEOUT = httpx.Timeout(90.0, connect=5.0)
#: quirk(tryton): a login that is refused for too many attempts names no time; the attempts of
#: `[session] timeout` (default 300 s) are counted. Source: trytond, doc/topics/configuration.
LOGIN_PAUSE = timedelta(seconds=300)


@dataclass(frozen=True, slots=True)
class Account:
    """The database and the credentials."""

    url: str
    database: str
    login: str
    password: str = field(repr=False)
    #: Id or name of the company to work in; None: the one in the user's preferences.
    company: str | None = None
    #: Answer the server's warnings ("the invoice has no taxes, go on?") with yes.
    skip_warnings: bool = True
    #: Write one call at a time, over all processes of this machine.
    serial_writes: bool = False


@dataclass(frozen=True, slots=True)
class Session:
    """A login that the server still accepts, as far as is known."""

    header: str = field(repr=False)
    user: int


class Rpc:
    """Calls remote methods in a session that it opens when needed; thread-safe."""

    def __init__(
        self,
        account: Account,
        budget: Budget,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._account = account
        self._http = Http(
            account.url,
            auth=None,
            budget=budget,
            statuses={403: no_such_method, 404: no_such_database, 422: no_such_method},
            timeout=TIMEOUT,
            transport=transport,
            # quirk(tryton): answers above 1,400 characters say gzip even when it was not asked
            # for, and are then not gzipped: ask for it. Source: trytond 8.2.1, seen live.
            headers={"Accept-Encoding": "gzip"},
        )
        self._lock = threading.RLock()
        self._session: Session | None = None
        self._series: str | None = None

    @property
    def server_date(self) -> datetime | None:
        """The server's clock in its newest answer; None before the first one."""
        return self._http.server_date

    def series(self) -> str:
        """Returns the server's release series, such as `8.2`."""
        with self._lock:
            if self._series is None:
                self._series = self._ask_series()
            return self._series

    def _ask_series(self) -> str:
        body = {"id": 0, "method": "common.server.version", "params": []}
        # quirk(tryton): 7.0 has the RPC at `/` and `/<db>/`, says "7.0.59" and takes `/rpc/` for a
        # database, which answers 401; 8 has it at `/rpc/` and `/<db>/rpc/` and says "8.2".
        # Source: both servers, seen live.
        for path in ("/rpc/", "/"):
            response = self._http.request(
                "POST", path, json=body, repeatable=True, accept=(401, 404, 405)
            )
            if response.is_success:
                return ".".join(str(_result(response)).split(".")[:2])
        raise ContractError(f"{self._account.url} does not answer like a Tryton server")

    def _path(self) -> str:
        database = self._account.database
        return f"/{database}/" if self.series().startswith(("6.", "7.")) else f"/{database}/rpc/"

    def send(self, method: str, params: list[Any], *, repeatable: bool) -> dict[str, Any]:
        """Calls a method and returns the answer, which holds a `result` or an `error`."""
        for attempt in (1, 2):
            session = self.logged_in()
            response = self._http.request(
                "POST",
                self._path(),
                # exactly these three keys: with others the server answers in another way
                json={"id": 1, "method": method, "params": params},
                headers={"Authorization": session.header},
                repeatable=repeatable,
                accept=(401,),
            )
            if response.status_code != 401:
                return _answer(response)
            self._forget(session)
            if attempt == 2:
                break
        raise CredentialsError(
            f"{method}: Tryton ends every session of {self._account.login!r} at once;"
            " check the user and `[session]` in the server's configuration"
        )

    def _forget(self, session: Session) -> None:
        with self._lock:
            if self._session is session:
                self._session = None

    def logged_in(self) -> Session:
        """Returns the session, opening one when there is none."""
        with self._lock:
            if self._session is None:
                self._session = self._login()
            return self._session

    def _login(self) -> Session:
        account = self._account
        params = [account.login, {"password": account.password}, "en"]
        response = self._http.request(
            "POST",
            self._path(),
            json={"id": 1, "method": "common.db.login", "params": params},
            repeatable=True,
            accept=(401, 404, 429),
        )
        match response.status_code:
            case 401:
                raise CredentialsError(
                    f"Tryton refuses the login {account.login!r}: check login and password"
                )
            case 404:
                raise CredentialsError(
                    f"Tryton knows no database {account.database!r}: check the setting `database`"
                )
            case 429:
                raise RateLimitedError(
                    f"too many logins as {account.login!r} were refused; wait, then try again",
                    retry_after=LOGIN_PAUSE,
                )
        answer = _answer(response)
        if "error" in answer:
            raise Call("common.db.login", "login", None).error(answer["error"])
        if not answer.get("result"):
            raise CredentialsError(f"Tryton refuses the login {account.login!r}")
        user, token = answer["result"][:2]  # quirk(tryton): 8 adds the address of its bus
        text = f"{account.login}:{user}:{token}".encode()
        return Session(f"Session {base64.b64encode(text).decode()}", int(user))

    def logout(self) -> None:
        """Ends the session on the server; the next call opens a new one."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            self._http.request(
                "POST",
                self._path(),
                json={"id": 1, "method": "common.db.logout", "params": []},
                headers={"Authorization": session.header},
                repeatable=True,
                accept=(401,),
            )

    def close(self) -> None:
        """Closes the connections. Idempotent."""
        self._http.close()


def _answer(response: httpx.Response) -> dict[str, Any]:
    answer = read_json(response)
    if not isinstance(answer, dict) or not answer.keys() & {"result", "error"}:
        raise ContractError(f"{response.request.url.path} does not answer like a Tryton server")
    return answer


def _result(response: httpx.Response) -> Any:
    return _answer(response).get("result")

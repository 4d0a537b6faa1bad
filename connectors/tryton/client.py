"""Tryton's JSON-RPC: sessions, versions, errors. The only file with addresses.

Raises only errors of the error tree, and never repeats a call that may have written.
"""

from __future__ import annotations

import base64
import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx

from connectors.kit.budget import Budget
from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    CredentialsError,
    RateLimitedError,
    RecordRejectedError,
    RecordStaleError,
    UnavailableError,
)
from connectors.kit.http import Http, Reply, read_json
from connectors.tryton.write_lock import lock_path, turn

#: Time-out of a call; Tryton itself gives up reading after 60 s.
TIMEOUT = httpx.Timeout(90.0, connect=5.0)
#: quirk(tryton): a login that is refused for too many attempts names no time; the attempts of
#: `[session] timeout` (default 300 s) are counted. Source: trytond, doc/topics/configuration.
LOGIN_PAUSE = timedelta(seconds=300)
#: Maximum number of warnings of one call that are confirmed.
MOST_WARNINGS = 20
#: Preferences of the user that the server expects back as context.
CONTEXT = ("company", "companies", "company_filter", "employee", "employees", "language")
_PASSING = ("database is locked", "could not serialize", "deadlock", "connection", "res.user")

Domain = list[Any]
Row = dict[str, Any]


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
class _Session:
    header: str = field(repr=False)
    user: int


class TrytonClient:
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
            statuses={403: _refused, 404: _unknown, 422: _refused},
            timeout=TIMEOUT,
            transport=transport,
            # quirk(tryton): answers above 1,400 characters say gzip even when it was not asked
            # for, and are then not gzipped: ask for it. Source: trytond 8.2.1, seen live.
            headers={"Accept-Encoding": "gzip"},
        )
        self._lock = threading.RLock()
        self._session: _Session | None = None
        self._series: str | None = None
        self._context: dict[str, Any] | None = None

    @property
    def account(self) -> Account:
        """The account this client works for."""
        return self._account

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

    def call(
        self,
        method: str,
        *params: Any,
        context: Mapping[str, Any] | None = None,
        repeatable: bool = False,
        stream: str = "",
        key: str | None = None,
    ) -> Any:
        """Calls a method with the user's context added and returns its result.

        `repeatable` means that the call is idempotent; `stream` and `key` name the record.
        Raises: RecordRejectedError, RecordStaleError, and what every call may raise.
        """
        about = _Call(method, stream or method, key)
        for _ in range(MOST_WARNINGS):
            full = {**self.context(), **(context or {})}
            with self._turn(repeatable):
                answer = self._send(method, [*params, full], repeatable=repeatable)
            if "error" not in answer:
                return answer.get("result")
            warning = _warning(answer["error"])
            if warning is None or not self._account.skip_warnings:
                raise about.error(answer["error"])
            self._skip(warning)
        raise about.error(["UserWarning", ["", "it warns again and again", ""]])

    def _turn(self, repeatable: bool) -> AbstractContextManager[None]:
        # quirk(tryton): on SQLite, sequences give two parallel writers the same number, and one
        # of them is refused ("The code on party must be unique."). Source: trytond 8.2, seen live
        if repeatable or not self._account.serial_writes:
            return nullcontext()
        return turn(lock_path(self._account.url, self._account.database))

    def _skip(self, warning: str) -> None:
        if self.series().startswith(("6.", "7.")):
            session = self._logged_in()
            values = {"user": session.user, "name": warning, "always": False}
            self._checked("model.res.user.warning.create", [[values], self.context()])
        else:
            self._checked("model.res.user.warning.skip", [warning, False, self.context()])

    def context(self) -> dict[str, Any]:
        """Returns the context of every call: company, language."""
        with self._lock:
            if self._context is None:
                preferences = self._checked("model.res.user.get_preferences", [True, {}])
                known = {name: preferences[name] for name in CONTEXT if preferences.get(name)}
                self._context = {**known, **self._chosen_company(known)}
            return self._context

    def _chosen_company(self, known: Mapping[str, Any]) -> dict[str, Any]:
        wanted = self._account.company
        if not wanted:
            return {}
        clause = ["id", "=", int(wanted)] if wanted.isdecimal() else ["party.name", "=", wanted]
        found = self._checked("model.company.company.search", [[clause], 0, 2, None, known])
        if len(found) != 1:
            raise CredentialsError(
                f"Tryton user {self._account.login!r} sees {len(found)} companies called"
                f" {wanted!r}: correct the setting `company` or give the user access"
            )
        return {"company": found[0]}

    def _checked(self, method: str, params: list[Any]) -> Any:
        answer = self._send(method, params, repeatable=True)
        if "error" in answer:
            raise _Call(method, method, None).error(answer["error"])
        return answer.get("result")

    def _send(self, method: str, params: list[Any], *, repeatable: bool) -> dict[str, Any]:
        for attempt in (1, 2):
            session = self._logged_in()
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

    def _forget(self, session: _Session) -> None:
        with self._lock:
            if self._session is session:
                self._session = None

    def _logged_in(self) -> _Session:
        with self._lock:
            if self._session is None:
                self._session = self._login()
            return self._session

    def _login(self) -> _Session:
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
            raise _Call("common.db.login", "login", None).error(answer["error"])
        if not answer.get("result"):
            raise CredentialsError(f"Tryton refuses the login {account.login!r}")
        user, token = answer["result"][:2]  # quirk(tryton): 8 adds the address of its bus
        text = f"{account.login}:{user}:{token}".encode()
        return _Session(f"Session {base64.b64encode(text).decode()}", int(user))

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

    def search(
        self, model: str, domain: Domain, *, limit: int | None = None, **context: Any
    ) -> list[int]:
        """Returns ids in ascending order, inactive records included."""
        order = [["id", "ASC"]]
        found = self._read(model, "search", [domain, 0, limit, order], context)
        return [int(number) for number in found]

    def search_read(
        self, model: str, domain: Domain, fields: Sequence[str], *, limit: int | None = None
    ) -> list[Row]:
        """Returns rows in ascending order of their ids, inactive records included."""
        order = [["id", "ASC"]]
        rows: list[Row] = self._read(
            model, "search_read", [domain, 0, limit, order, list(fields)], {}
        )
        return sorted(rows, key=lambda row: int(row["id"]))

    def count(self, model: str, domain: Domain) -> int:
        """Returns how many records there are, inactive ones included."""
        return int(self._read(model, "search_count", [domain], {}))

    def fields(self, model: str, names: Sequence[str] | None = None) -> dict[str, Row]:
        """Returns the live description of a model's fields."""
        wanted = list(names) if names is not None else []
        found: dict[str, Row] = self._read(model, "fields_get", [wanted], {})
        return found

    def _read(self, model: str, method: str, params: list[Any], context: Mapping[str, Any]) -> Any:
        try:
            return self.call(
                f"model.{model}.{method}",
                *params,
                context={"active_test": False, **context},
                repeatable=True,
                stream=model,
            )
        except RecordRejectedError as error:
            # a read is only refused for lack of rights
            raise CredentialsError(
                f"Tryton user {self._account.login!r} may not read {model}: {error}"
            ) from error


@dataclass(frozen=True, slots=True)
class _Call:
    """The called method, for messages."""

    method: str
    stream: str
    key: str | None

    def error(self, error: Any) -> ConnectorError:
        """Turns the error of a response into one of the error tree."""
        name, detail = (*error, None, None)[:2] if isinstance(error, list) else (error, None)
        words = detail if isinstance(detail, list) else []
        match name:
            case "ConcurrencyException":
                message = f"{self.method}: the record changed since it was read"
                return RecordStaleError(message, stream=self.stream, key=self.key)
            case "UserError":
                message = " ".join(str(word) for word in words[:2] if word)
                return RecordRejectedError(message, stream=self.stream, key=self.key)
            case "UserWarning":
                message = " ".join(str(word) for word in words[1:3] if word)
                return RecordRejectedError(
                    f"Tryton warns and waits for a yes: {message}",
                    stream=self.stream,
                    key=self.key,
                )
            case "LoginException":
                return CredentialsError("Tryton asks for more than a password; use another user")
        return self._surprise(str(name))

    def _surprise(self, text: str) -> ConnectorError:
        # quirk(tryton): an unexpected exception arrives as its bare text, a KeyError as the
        # quoted name of the missing field or model; 'res.user' is missing while the server
        # still loads its modules. Source: trytond 8.2.1, seen live.
        if any(sign in text for sign in _PASSING):
            return UnavailableError(f"{self.method}: Tryton cannot do it now; call again")
        if text.startswith("'") and text.endswith("'"):
            return ContractError(
                f"{self.method}: Tryton does not know {text}; is a module missing?"
            )
        return ContractError(f"{self.method}: Tryton failed inside; see its log")


def _warning(error: Any) -> str | None:
    if isinstance(error, list) and error and error[0] == "UserWarning":
        return str(error[1][0])
    return None


def _answer(response: httpx.Response) -> dict[str, Any]:
    answer = read_json(response)
    if not isinstance(answer, dict) or not answer.keys() & {"result", "error"}:
        raise ContractError(f"{response.request.url.path} does not answer like a Tryton server")
    return answer


def _result(response: httpx.Response) -> Any:
    return _answer(response).get("result")


def _refused(reply: Reply) -> ConnectorError:
    return ContractError(f"{reply}: Tryton has no such remote method")


def _unknown(reply: Reply) -> ConnectorError:
    return CredentialsError(f"{reply}: is the setting `database` right?")

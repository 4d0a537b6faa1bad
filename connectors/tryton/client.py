"""One Tryton as its user sees it: methods with the user's context, warnings, searches.

Raises only errors of the error tree, and never repeats a call that may have written.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

import httpx

from connectors.kit.budget import Budget
from connectors.kit.errors import CredentialsError, RecordRejectedError
from connectors.tryton.errors import Call, warning_name
from connectors.tryton.rpc import Account, Rpc
from connectors.tryton.write_lock import lock_path, turn

__all__ = ["Account", "Domain", "Row", "TrytonClient"]

#: Maximum number of warnings of one call that are confirmed.
MOST_WARNINGS = 20
#: Preferences of the user that the server expects back as context.
CONTEXT = ("company", "companies", "company_filter", "employee", "employees", "language")

Domain = list[Any]
Row = dict[str, Any]


class TrytonClient:
    """Calls methods and reads models for the user of an account; thread-safe."""

    def __init__(
        self,
        account: Account,
        budget: Budget,
        *,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._account = account
        self._rpc = Rpc(account, budget, transport=transport)
        self._lock = threading.Lock()
        self._context: dict[str, Any] | None = None

    @property
    def account(self) -> Account:
        """The account this client works for."""
        return self._account

    @property
    def server_date(self) -> datetime | None:
        """The server's clock in its newest answer; None before the first one."""
        return self._rpc.server_date

    def series(self) -> str:
        """Returns the server's release series, such as `8.2`."""
        return self._rpc.series()

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
        about = Call(method, stream or method, key)
        for _ in range(MOST_WARNINGS):
            full = {**self.context(), **(context or {})}
            with self._turn(repeatable):
                answer = self._rpc.send(method, [*params, full], repeatable=repeatable)
            if "error" not in answer:
                return answer.get("result")
            warning = warning_name(answer["error"])
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
            session = self._rpc.logged_in()
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
        answer = self._rpc.send(method, params, repeatable=True)
        if "error" in answer:
            raise Call(method, method, None).error(answer["error"])
        return answer.get("result")

    def logout(self) -> None:
        """Ends the session on the server; the next call opens a new one."""
        self._rpc.logout()

    def close(self) -> None:
        """Closes the connections. Idempotent."""
        self._rpc.close()

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

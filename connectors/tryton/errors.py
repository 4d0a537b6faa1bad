"""Turns what Tryton answers instead of a result into the error tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    CredentialsError,
    RecordRejectedError,
    RecordStaleError,
    UnavailableError,
)
from connectors.kit.http import Reply

_PASSING = ("database is locked", "could not serialize", "deadlock", "connection", "res.user")


@dataclass(frozen=True, slots=True)
class Call:
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
        return self._unexpected(str(name))

    def _unexpected(self, text: str) -> ConnectorError:
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


def warning_name(error: Any) -> str | None:
    """Returns the name of a warning that waits for a yes; None for every other error."""
    if isinstance(error, list) and error and error[0] == "UserWarning":
        return str(error[1][0])
    return None


def no_such_method(reply: Reply) -> ConnectorError:
    """Returns the error for a method that the server does not have."""
    return ContractError(f"{reply}: Tryton has no such remote method")


def no_such_database(reply: Reply) -> ConnectorError:
    """Returns the error for an address that the server does not have."""
    return CredentialsError(f"{reply}: is the setting `database` right?")

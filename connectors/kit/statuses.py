"""What a status means: a table from statuses to the error tree; connectors override lines of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    CredentialsError,
    RateLimitedError,
    RecordMissingError,
    RecordRejectedError,
    RecordStaleError,
    UnavailableError,
)


@dataclass(frozen=True, slots=True)
class Reply:
    """An unsuccessful response, and the call it belongs to."""

    method: str
    path: str
    #: The stream and key of the record concerned; blank when the call was not about one.
    stream: str
    key: str | None
    response: httpx.Response

    def __str__(self) -> str:
        about = f" for {self.stream} {self.key or ''}".rstrip() if self.stream else ""
        return f"{self.method} {self.path} answered {self.response.status_code}{about}"


#: Makes an error of a reply: one line of the status table.
Translate = Callable[[Reply], ConnectorError]


def unavailable(reply: Reply) -> ConnectorError:
    return UnavailableError(f"{reply}; wait, then make the same call again")


def _limited(reply: Reply) -> ConnectorError:
    wait = retry_after(reply.response)
    return RateLimitedError(f"{reply}: rate limit; wait, then call again", retry_after=wait)


def _credentials(reply: Reply) -> ConnectorError:
    return CredentialsError(f"{reply}: check the credentials and their rights")


def contract(reply: Reply) -> ConnectorError:
    return ContractError(f"{reply}, which its documentation does not promise")


def _strange(reply: Reply) -> ConnectorError | None:
    """Returns an error when the reply is not the API's: a proxy's 404 proves no deletion."""
    if reply.response.headers.get("content-type", "").lower().startswith("text/html"):
        return ContractError(
            f"{reply} with a web page instead of data: look whether base_url is right, and what"
            " stands between"
        )
    return None if reply.stream else contract(reply)


def _missing(reply: Reply) -> ConnectorError:
    if (strange := _strange(reply)) is not None:
        return strange
    return RecordMissingError(f"{reply}: it is gone", stream=reply.stream, key=reply.key)


def _rejected(reply: Reply) -> ConnectorError:
    if (strange := _strange(reply)) is not None:
        return strange
    return RecordRejectedError(f"{reply}: refused", stream=reply.stream, key=reply.key)


def _stale(reply: Reply) -> ConnectorError:
    if (strange := _strange(reply)) is not None:
        return strange
    return RecordStaleError(
        f"{reply}: it changed since it was read", stream=reply.stream, key=reply.key
    )


#: What a status means. A connector overrides single lines; other statuses from 500 on mean
#: "unavailable", and whatever is left breaks the contract.
STATUSES: Mapping[int, Translate] = {
    400: _rejected,
    401: _credentials,
    403: _credentials,
    404: _missing,
    408: unavailable,
    409: _rejected,
    410: _missing,
    412: _stale,
    422: _rejected,
    423: unavailable,
    425: unavailable,
    429: _limited,
}


def retry_after(response: httpx.Response) -> timedelta | None:
    """Returns how long `Retry-After` asks to wait (seconds or an HTTP date); None without it."""
    value = response.headers.get("retry-after", "").strip()
    if not value:
        return None
    try:
        return timedelta(seconds=max(float(value), 0.0))
    except (ValueError, OverflowError):
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(moment - datetime.now(UTC), timedelta(0))

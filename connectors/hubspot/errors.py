"""What HubSpot's error bodies mean: statuses and error objects -> the error tree.

All fields of an error body are optional by contract, so everything here is read leniently. Messages
never repeat theirs, because validation messages quote the refused values.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

import orjson

from connectors.kit.budget import Allowance
from connectors.kit.errors import (
    ConnectorError,
    ContractError,
    CredentialsError,
    RateLimitedError,
    RecordMissingError,
    RecordRejectedError,
    UnavailableError,
)
from connectors.kit.http import Reply, Translate, retry_after

# quirk(hubspot): a 429 promises no Retry-After; the body's policyName says which limit it was.
# Waits as in the vendor's Node client; a spent daily limit is looked at again after an hour, since
# it ends at midnight of the account's own time zone.
POLICIES: Mapping[str, timedelta] = {
    "TEN_SECONDLY_ROLLING": timedelta(seconds=10),
    "SECONDLY": timedelta(seconds=1),
    "DAILY": timedelta(hours=1),
}
#: The same limits by what the message says, for bodies without policyName.
POLICY_WORDS = {"ten_secondly": "TEN_SECONDLY_ROLLING", "daily": "DAILY", "secondly": "SECONDLY"}

#: Codes and categories that say that a unique value is taken.
TAKEN = {"CONFLICT", "CONFLICTING_UNIQUE_VALUE", "OBJECT_ALREADY_EXISTS"}
#: Categories that say that a record is not there.
ABSENT = {"OBJECT_NOT_FOUND", "NOT_FOUND", "NO_ASSOCIATIONS_FOUND"}

_EXISTING = re.compile(r"Existing ID:\s*(\d+)", re.IGNORECASE)


def body_of(reply: Reply) -> dict[str, Any]:
    """Returns the error body; empty when it is not a JSON object."""
    try:
        body = orjson.loads(reply.response.content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def limited(reply: Reply) -> ConnectorError:
    """Returns an error with the limit that was hit and the time to wait."""
    body = body_of(reply)
    policy = str(body.get("policyName") or "").upper()
    if policy not in POLICIES:
        message = str(body.get("message") or "").lower()
        policy = next((name for word, name in POLICY_WORDS.items() if word in message), "")
    wait = retry_after(reply.response) or POLICIES.get(policy, timedelta(seconds=10))
    return RateLimitedError(
        f"{reply}: limit {policy or 'unknown'} is reached; wait {wait.total_seconds():.0f} s",
        retry_after=wait,
    )


def forbidden(reply: Reply) -> ConnectorError:
    """Returns an error with the missing scope, or one for an exhausted quota."""
    body = body_of(reply)
    if _is_limit(body):
        return limited(reply)
    scopes = ", ".join(dict.fromkeys(_scopes(body)))
    if scopes:
        return CredentialsError(f"{reply}: the token lacks a scope, add one of: {scopes}")
    return CredentialsError(f"{reply}: the token has not the rights for this call")


def _is_limit(body: Mapping[str, Any]) -> bool:
    words = (body.get("errorType"), body.get("category"))
    return bool(body.get("policyName")) or "RATE_LIMIT" in words or "RATE_LIMITS" in words


def _scopes(body: Mapping[str, Any]) -> Iterator[str]:
    for part in (body, *_details(body)):
        context = part.get("context")
        if isinstance(context, dict):
            for name in ("requiredGranularScopes", "missingScopes", "requiredScopes"):
                yield from _texts(context.get(name))


def unauthorized(reply: Reply) -> ConnectorError:
    """Distinguishes an expired token from a wrong one."""
    if body_of(reply).get("category") == "EXPIRED_AUTHENTICATION":
        return CredentialsError(f"{reply}: the token has expired; renew it")
    return CredentialsError(f"{reply}: HubSpot does not know the token; enter a valid one")


def rejected(reply: Reply) -> ConnectorError:
    """Builds the refusal of a record, with field errors; without a record a ContractError."""
    body = body_of(reply)
    if not reply.stream:
        category = body.get("category") or "no category"
        return ContractError(f"{reply} ({category}), which its documentation does not promise")
    return refusal(body, stream=reply.stream, key=reply.key)


def _locked(reply: Reply) -> ConnectorError:
    return UnavailableError(f"{reply}: the record is locked; wait, then make the same call again")


def _moving(reply: Reply) -> ConnectorError:
    # quirk(hubspot): 477 = the account is being moved between data centres, with Retry-After.
    return RateLimitedError(
        f"{reply}: the account is being migrated; wait", retry_after=retry_after(reply.response)
    )


STATUSES: Mapping[int, Translate] = {
    400: rejected,
    401: unauthorized,
    403: forbidden,
    409: rejected,
    422: rejected,
    423: _locked,
    429: limited,
    477: _moving,
}


def refusal(error: Mapping[str, Any], *, stream: str, key: str | None) -> ConnectorError:
    """Builds the error of one refused record from an error body or a row of a batch's `errors`."""
    category = str(error.get("category") or "")
    about = f"{stream} {key}" if key else f"a new record of {stream}"
    if category in ABSENT:
        return RecordMissingError(f"HubSpot has no {about}", stream=stream, key=key)
    if category == "RATE_LIMITS":
        return RateLimitedError(f"HubSpot put off {about} because of its rate limit")
    if taken(error):
        text = f"HubSpot refused {about}: another record{_existing(error)} has a unique value of it"
    else:
        text = f"HubSpot refused {about} ({category or 'no category'})"
    fields = field_errors(error)
    if fields:
        text += ": " + ", ".join(f"{name} {code}" for name, code in sorted(fields.items()))
    return RecordRejectedError(text, stream=stream, key=key, fields=fields)


def _existing(error: Mapping[str, Any]) -> str:
    existing = existing_id(error)
    return f" ({existing})" if existing else ""


def existing_id(error: Mapping[str, Any]) -> str | None:
    """Returns the id of the record that a conflict names.

    >>> existing_id({"message": "Contact already exists. Existing ID: 12345"})
    '12345'
    """
    found = _EXISTING.search(str(error.get("message") or ""))
    return found.group(1) if found else None


def taken(error: Mapping[str, Any]) -> bool:
    """Returns True if a duplicate of a unique value was the reason.

    >>> taken({"category": "CONFLICT"}), taken({"category": "VALIDATION_ERROR"})
    (True, False)
    """
    if error.get("category") in TAKEN:
        return True
    return any(code in TAKEN for code in field_errors(error).values())


def field_errors(error: Mapping[str, Any]) -> dict[str, str]:
    """Returns property name -> error code. Messages are omitted because they quote values.

    >>> field_errors({"errors": [{"code": "INVALID_DATE", "context": {"propertyName": ["due"]}}]})
    {'due': 'INVALID_DATE'}
    """
    fields: dict[str, str] = {}
    for detail in (*_details(error), *_embedded(error)):
        code = str(detail.get("code") or detail.get("error") or "INVALID")
        context = detail.get("context")
        names = [*_texts(detail.get("in")), *_texts(detail.get("name"))]
        if isinstance(context, dict):
            names += [*_texts(context.get("propertyName")), *_texts(context.get("name"))]
        fields.update((name, code) for name in names if name)
    return fields


def _details(error: Mapping[str, Any]) -> list[dict[str, Any]]:
    details = error.get("errors")
    return [one for one in details if isinstance(one, dict)] if isinstance(details, list) else []


def _embedded(error: Mapping[str, Any]) -> list[dict[str, Any]]:
    # quirk(hubspot): older bodies carry the details as JSON text behind a colon in `message`.
    _, mark, rest = str(error.get("message") or "").partition(": [")
    if not mark:
        return []
    try:
        details = orjson.loads("[" + rest.strip())
    except orjson.JSONDecodeError:
        return []
    return [one for one in details if isinstance(one, dict)]


def _texts(value: Any) -> Iterable[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]


def read_limits(headers: Mapping[str, str]) -> Allowance | None:
    """Reads HubSpot's rate limit headers. None on answers without them, such as searches."""
    most = _number(headers.get("x-hubspot-ratelimit-max"))
    remaining = _number(headers.get("x-hubspot-ratelimit-remaining"))
    interval = _number(headers.get("x-hubspot-ratelimit-interval-milliseconds"))
    daily = _number(headers.get("x-hubspot-ratelimit-daily"))
    if most is None and remaining is None and daily is None:
        return None
    return Allowance(
        remaining=remaining,
        requests=most,
        per_seconds=interval / 1000 if interval else None,
        # Absent for OAuth apps, whose daily limit is their own.
        daily=daily,
        daily_left=_number(headers.get("x-hubspot-ratelimit-daily-remaining")),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isdecimal() else None

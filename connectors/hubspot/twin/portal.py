"""Routes about the account itself: owners, details, daily usage."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from connectors.hubspot.twin.account import Account, Owner
from connectors.hubspot.twin.calls import Call, Reply, whole_number
from connectors.hubspot.twin.error_bodies import missing
from connectors.hubspot.twin.property_values import iso


def _shown(owner: Owner) -> dict[str, Any]:
    made = "2024-02-05T08:00:00.000Z"
    return {
        "id": str(owner.id),
        "type": "PERSON",
        "email": owner.email,
        "firstName": owner.first,
        "lastName": owner.last,
        "userId": owner.id % 100_000,
        "userIdIncludingInactive": owner.id % 100_000,
        "createdAt": made,
        "updatedAt": made,
        "archived": owner.archived,
    }


def owners(call: Call) -> Reply:
    """Lists the users who can own records."""
    limit, after = call.limit(100, 500), whole_number(call.query.get("after", "0"))
    email, archived = call.query.get("email"), call.flag("archived")
    found = [
        owner
        for owner in sorted(call.account.owners.values(), key=lambda owner: owner.id)
        if owner.archived == archived and owner.id > after and email in (None, owner.email)
    ]
    reply: dict[str, Any] = {"results": [_shown(owner) for owner in found[:limit]]}
    if len(found) > limit:
        reply["paging"] = {"next": {"after": str(found[limit - 1].id)}}
    return Reply(200, reply)


def owner(call: Call) -> Reply:
    """Answers one owner by id or, with `idProperty=userId`, by user id."""
    by_user = call.query.get("idProperty") == "userId"
    for found in call.account.owners.values():
        number = found.id % 100_000 if by_user else found.id
        if str(number) == call.params["id"] and found.archived == call.flag("archived"):
            return Reply(200, _shown(found))
    raise missing(f"Owner {call.params['id']} does not exist")


def details(call: Call) -> Reply:
    """Answers which account this is."""
    settings = call.account.settings
    offset = call.account.clock.now().astimezone(ZoneInfo(settings.time_zone)).utcoffset()
    minutes = int((offset or timedelta()).total_seconds() // 60)
    sign = "-" if minutes < 0 else "+"
    return Reply(
        200,
        {
            "portalId": settings.portal_id,
            "accountType": "STANDARD",
            "timeZone": settings.time_zone,
            "companyCurrency": settings.currency,
            "additionalCurrencies": ["USD", "GBP", "CHF", "PLN"],
            "utcOffset": f"{sign}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}",
            "utcOffsetMilliseconds": minutes * 60_000,
            "uiDomain": "app.hubspot.com",
            "dataHostingLocation": "eu1",
        },
    )


def midnight(account: Account) -> datetime:
    """Returns when the daily count starts again: midnight in the account's time zone."""
    zone = ZoneInfo(account.settings.time_zone)
    today = account.clock.now().astimezone(zone).date()
    return datetime.combine(today + timedelta(days=1), time(), zone)


def usage_row(account: Account, used: int, limit: int) -> dict[str, Any]:
    """Returns the daily usage as the API shows it."""
    return {
        "name": "private-apps-api-calls-daily",
        "usageLimit": limit,
        "currentUsage": used,
        "collectedAt": iso(account.clock.ms()),
        "fetchStatus": "SUCCESS",
        "resetsAt": iso(int(midnight(account).timestamp() * 1000)),
    }

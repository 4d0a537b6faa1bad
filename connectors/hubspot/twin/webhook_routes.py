"""Routes of the webhook settings: where deliveries of the app go, and which events it wants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.hubspot.twin.calls import Call, Reply, batch_reply, text_field
from connectors.hubspot.twin.error_bodies import invalid, missing
from connectors.hubspot.twin.objects import Row
from connectors.hubspot.twin.property_values import iso
from connectors.hubspot.twin.webhooks import APP_ID, Subscription, Webhooks


def _hooks(call: Call) -> Webhooks:
    hooks = call.account.webhooks
    if call.params["app"] != str(APP_ID) or not isinstance(hooks, Webhooks):
        raise missing(f"App {call.params['app']} does not exist")
    return hooks


def _settings(hooks: Webhooks) -> Reply:
    if hooks.target is None:
        raise missing("No webhook settings")
    row = {
        "targetUrl": hooks.target,
        "throttling": {"maxConcurrentRequests": hooks.concurrent},
        "createdAt": iso(hooks.created),
        "updatedAt": iso(hooks.created),
    }
    return Reply(200, row)


def read_settings(call: Call) -> Reply:
    """Answers where deliveries go."""
    return _settings(_hooks(call))


def put_settings(call: Call) -> Reply:
    """Sets where deliveries go; loopback addresses need no TLS."""
    hooks, row = _hooks(call), call.json()
    target = text_field(row, "targetUrl")
    if not target.startswith(("https://", "http://127.0.0.1", "http://localhost")):
        raise invalid("targetUrl must be an https address")
    throttling: dict[str, Any] = row.get("throttling") or {}
    hooks.target, hooks.created = target, call.account.clock.ms()
    hooks.concurrent = int(throttling.get("maxConcurrentRequests", 10))
    return _settings(hooks)


def delete_settings(call: Call) -> Reply:
    """Switches deliveries off."""
    _hooks(call).target = None
    return Reply(204)


def listing(call: Call) -> Reply:
    """Lists the subscriptions."""
    return Reply(200, {"results": [s.shown() for s in _hooks(call).subscriptions.values()]})


def create(call: Call) -> Reply:
    """Adds a subscription; it is paused unless `active` is given."""
    row = call.json()
    made = _hooks(call).subscribe(
        text_field(row, "eventType"),
        property_name=row.get("propertyName"),
        object_type_id=row.get("objectTypeId"),
        active=bool(row.get("active", False)),
    )
    return Reply(201, made.shown())


def _need(call: Call, number: str) -> Subscription:
    found = _hooks(call).subscriptions.get(int(number) if number.isdecimal() else -1)
    if found is None:
        raise missing(f"Subscription {number} does not exist")
    return found


def read(call: Call) -> Reply:
    """Answers one subscription."""
    return Reply(200, _need(call, call.params["id"]).shown())


def _activate(call: Call, subscription: Subscription, row: Row) -> Row:
    subscription.active = bool(row.get("active", subscription.active))
    subscription.updated = call.account.clock.ms()
    return subscription.shown()


def update(call: Call) -> Reply:
    """Pauses or resumes a subscription."""
    return Reply(200, _activate(call, _need(call, call.params["id"]), call.json()))


def batch_update(call: Call) -> Reply:
    """Pauses or resumes many subscriptions."""
    rows = [_activate(call, _need(call, text_field(r, "id")), r) for r in call.inputs()]
    return batch_reply(call, rows, [])


def delete(call: Call) -> Reply:
    """Ends a subscription."""
    subscription = _need(call, call.params["id"])
    del _hooks(call).subscriptions[subscription.id]
    return Reply(204)


ROWS: list[tuple[str, str, Callable[[Call], Reply]]] = [
    ("GET", "/{app}/settings", read_settings),
    ("PUT", "/{app}/settings", put_settings),
    ("DELETE", "/{app}/settings", delete_settings),
    ("GET", "/{app}/subscriptions", listing),
    ("POST", "/{app}/subscriptions", create),
    ("POST", "/{app}/subscriptions/batch/update", batch_update),
    ("GET", "/{app}/subscriptions/{id}", read),
    ("PATCH", "/{app}/subscriptions/{id}", update),
    ("DELETE", "/{app}/subscriptions/{id}", delete),
]

"""What HubSpot answers when one of the faults on the line strikes."""

from __future__ import annotations

import orjson

from connectors.hubspot.twin.error_bodies import Refusal, throttled
from connectors.kit.twin import Fault

#: What a 429 says, by the `detail` of the fault.
_POLICIES = {
    "": ("TEN_SECONDLY_ROLLING", "You have reached your ten_secondly_rolling limit."),
    "search": ("SECONDLY", "You have reached your secondly limit."),
    "daily": ("DAILY", "You have reached your daily limit."),
}


def voice(fault: Fault) -> bytes:
    """Returns HubSpot's words for a fault."""
    if fault.kind == "throttled":
        refusal = throttled(*_POLICIES.get(fault.detail, _POLICIES[""]))
    elif fault.kind == "quota" and not fault.detail:
        # A quota that answers 403 says in its body that it is a limit, like one that answers 429.
        refusal = throttled(*_POLICIES["daily"])
    elif fault.kind == "quota":
        message = "This app hasn't been granted all required scopes to make this call."
        errors = [{"message": message, "context": {"requiredGranularScopes": [fault.detail]}}]
        refusal = Refusal(403, message, "MISSING_SCOPES", errors=errors)
    else:
        refusal = Refusal(fault.code(), "internal error", "INTERNAL_ERROR")
    return orjson.dumps(refusal.body())

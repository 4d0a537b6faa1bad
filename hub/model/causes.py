"""The causes of quarantine of a record, a write or a derivation: a small set of codes."""

from __future__ import annotations

from enum import StrEnum

from connectors.kit.errors import RecordRejectedError, RecordStaleError
from mappings.kit.errors import LensError


class Cause(StrEnum):
    """The reason that an item is in quarantine."""

    #: A value of the record has no translation.
    UNREADABLE = "unreadable"
    #: A golden value has no translation into the remote system.
    UNTRANSLATABLE = "untranslatable"
    #: The remote system refused the record.
    REFUSED = "refused"
    #: It refers to a record that is not known yet, or lacks a required field.
    MISSING_PARENT = "missing_parent"
    MISSING_FIELD = "missing_field"
    #: A person must decide which record it is.
    UNDER_REVIEW = "under_review"
    #: It may be a remote record that is itself in quarantine.
    POSSIBLE_DUPLICATE = "possible_duplicate"
    #: A flow lacks some input.
    BLOCKED_FLOW = "blocked_flow"
    #: It is unknown whether it was written.
    IN_DOUBT = "in_doubt"
    #: It changes again each time it is written or derived.
    OSCILLATION = "oscillation"
    #: More deletions than the change limit allows without approval.
    CHANGE_LIMIT = "change_limit"
    #: Any other error.
    FAILED = "failed"


_NEXT_ACTION = {
    Cause.UNREADABLE: "correct the value in the remote system, or the mapping",
    Cause.UNTRANSLATABLE: "correct the value, or the mapping",
    Cause.REFUSED: "correct the value, or what the remote system requires",
    Cause.MISSING_PARENT: "create or link the record that it refers to",
    Cause.MISSING_FIELD: "fill the missing field",
    Cause.UNDER_REVIEW: "decide the review with `tulay links review`",
    Cause.POSSIBLE_DUPLICATE: "correct the record that it may be",
    Cause.BLOCKED_FLOW: "add what the reason names",
    Cause.IN_DOUBT: "look in the remote system, link the record",
    Cause.OSCILLATION: "look at the policies and flows that disagree",
    Cause.CHANGE_LIMIT: "look at the changes, then accept them with `tulay resume`",
    Cause.FAILED: "remove what the reason names",
}


def next_action(cause: Cause) -> str:
    """Returns what a person can do about a cause.

    >>> next_action(Cause.MISSING_FIELD)
    'fill the missing field'
    """
    return _NEXT_ACTION[cause]


def cause_of(error: Exception | None) -> Cause:
    """Returns the cause of quarantine for the error of a write.

    >>> cause_of(None)
    <Cause.FAILED: 'failed'>
    """
    match error:
        case LensError():
            return Cause.UNTRANSLATABLE
        case RecordRejectedError():
            return Cause.REFUSED
        case RecordStaleError():
            return Cause.OSCILLATION
        case _:
            return Cause.FAILED

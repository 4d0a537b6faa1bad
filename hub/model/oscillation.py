"""Oscillation: two systems undo each other's changes of a field, again and again.

An automation in a remote system reverses each write of the hub. The policy decides each round
correctly, but the rounds never end. So the field is paused and both systems are reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

#: Only reversals within this time count.
WINDOW = timedelta(hours=1)

#: The prefix of a person's decisions in the reasons of history.
DECIDED = "a person decided"


@dataclass(frozen=True, slots=True)
class Reversal:
    """One change of a field in history, as far as it matters for an oscillation."""

    #: The connection, or the flow, that made it.
    connection: str
    #: Its value was overruled: the hub writes the golden value again.
    overruled: bool = False
    #: A person has decided: earlier changes do not count.
    decided: bool = False


def opponents(reversals: Sequence[Reversal], most: int) -> tuple[str, ...]:
    """Returns the connections that undo each other, oldest first; none up to `most` reversals.

    A change is a reversal if another connection made the last one, or if the same connection
    repeats an overruled value. Ten edits in a row in one system are no oscillation.
    >>> back_and_forth = [Reversal("crm"), Reversal("erp"), Reversal("crm"), Reversal("erp")]
    >>> opponents(back_and_forth, 2), opponents(back_and_forth, 3)
    (('crm', 'erp'), ())
    >>> opponents([Reversal("crm")] * 9, 2), opponents([Reversal("crm", overruled=True)] * 4, 2)
    ((), ('crm',))
    """
    since = 0
    for index, change in enumerate(reversals):
        if change.decided:
            since = index + 1
    recent = reversals[since:]
    turns = sum(
        now.connection != before.connection or (now.overruled and before.overruled)
        for before, now in pairwise(recent)
    )
    if most <= 0 or turns <= most:
        return ()
    return tuple(dict.fromkeys(change.connection for change in recent))


def oscillation_reason(path: str, connections: Sequence[str], most: int) -> str:
    """Returns the reason for pausing a field, for people.

    >>> oscillation_reason("name", ("crm", "erp"), 10)
    'crm and erp keep reversing each other: more than 10 reversals of name within an hour; end the \
    automation in one of them, then decide'
    """
    sides = connections if len(connections) > 1 else (*connections, "the hub's policy")
    return (
        f"{' and '.join(sides)} keep reversing each other: more than {most} reversals of {path}"
        " within an hour; end the automation in one of them, then decide"
    )

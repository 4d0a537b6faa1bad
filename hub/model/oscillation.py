"""When two systems fight over a field: each undoes what the other did, again and again.

An automation over there answers every write of ours with one of its own. Policy decides each round
correctly and the story never ends: so the field is paused, and a person is told who fights.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import pairwise

#: Only what happened within this time counts.
WINDOW = timedelta(hours=1)

#: How the reason of a person's decision begins in history.
DECIDED = "a person decided"


@dataclass(frozen=True, slots=True)
class Reversal:
    """One change of a field in history, as far as it tells a fight."""

    #: The connection that brought it, or the flow.
    connection: str
    #: Its value did not survive: the hub has written, or will write, the golden value again.
    overruled: bool = False
    #: A person has decided: whatever was before is over.
    decided: bool = False


def opponents(reversals: Sequence[Reversal], most: int) -> tuple[str, ...]:
    """Returns who fights over a field, oldest first; nobody when it flipped at most so often.

    A value flips when somebody else than the last one changes it, or when the same one brings again
    what was overruled. Whoever types ten times in a row in one system fights with nobody.

    >>> back_and_forth = [Reversal("crm"), Reversal("erp"), Reversal("crm"), Reversal("erp")]
    >>> opponents(back_and_forth, 2), opponents(back_and_forth, 3)
    (('crm', 'erp'), ())
    >>> opponents([Reversal("crm")] * 9, 2), opponents([Reversal("crm", overruled=True)] * 4, 2)
    ((), ('crm',))
    """
    since = 0
    for place, flip in enumerate(reversals):
        if flip.decided:
            since = place + 1
    recent = reversals[since:]
    turns = sum(
        now.connection != before.connection or (now.overruled and before.overruled)
        for before, now in pairwise(recent)
    )
    if most <= 0 or turns <= most:
        return ()
    return tuple(dict.fromkeys(flip.connection for flip in recent))


def oscillation_reason(path: str, who: Sequence[str], most: int) -> str:
    """Returns what a person is told about a paused field.

    >>> oscillation_reason("name", ("crm", "erp"), 10)
    'crm and erp fight: name flipped more than 10 times within an hour; end the automation in one \
of them, then decide'
    """
    sides = who if len(who) > 1 else (*who, "the hub's policy")
    return (
        f"{' and '.join(sides)} fight: {path} flipped more than {most} times within an hour;"
        " end the automation in one of them, then decide"
    )

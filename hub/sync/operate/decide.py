"""Applies a person's decisions about identity: reviews, and merges by hand.

One transaction each. The decision overrides every policy.
"""

from __future__ import annotations

from sqlalchemy import Connection as Transaction

from hub.errors import DecisionError, UnknownError
from hub.model.oscillation import DECIDED
from hub.store import merges
from hub.store.golden import load_golden
from hub.store.links import links_by_golden
from hub.store.reviews import Review, open_reviews
from hub.sync.changeset import ChangeSet
from hub.sync.context import Hub
from hub.sync.merge.merging import merge_golden
from hub.sync.record_names import name_in_full


def decide_review(hub: Hub, number: int, decision: str) -> str:
    """Decides which golden record a record belongs to; its record is fetched again soon.

    `decision` is `new` or the id of a golden record, of which the beginning is enough. Returns the
    whole id, or `new`. Raises: UnknownError, DecisionError.
    """
    with hub.store.begin() as tx:
        review = next((r for r in open_reviews(tx) if r.id == number), None)
        if review is None:
            raise UnknownError(f"there is no open review {number}; see `tulay links review`")
        chosen = decision if decision == "new" else _chosen(hub, tx, review, decision)
        changes = ChangeSet(hub, hub.fresh_id(), hub.clock())
        changes.decided(review, chosen)
        changes.store(tx)
    return chosen


def _chosen(hub: Hub, tx: Transaction, review: Review, decision: str) -> str:
    fitting = [c for c in review.candidates if c.startswith(decision)]
    if len(fitting) > 1:
        raise DecisionError(f"{decision!r} matches several candidates; write more of the id")
    golden_id = fitting[0] if fitting else decision
    golden = load_golden(tx, [golden_id]).get(golden_id)
    if golden is None or golden.entity != review.entity or golden.deleted_at is not None:
        raise UnknownError(
            f"there is no {review.entity} with the id {decision!r}; `tulay links review` shows"
            " the candidates, and `new` creates a new one"
        )
    linked = links_by_golden(tx, [golden_id], connection=review.connection)
    if any(link.gone_at is None for link in linked.get(golden_id, [])):
        raise DecisionError(
            f"{name_in_full(hub, tx, golden)} already has a record in {review.connection};"
            " merge the two there, or choose `new`"
        )
    return merges.survivors(tx, [golden_id])[golden_id]


def merge_by_hand(hub: Hub, entity: str, *, winner: str, loser: str) -> None:
    """Merges two golden records on a person's decision; `split` can undo it.

    Raises: DecisionError.
    """
    if winner == loser:
        raise DecisionError("these are one record already")

    def work(tx: Transaction) -> None:
        golden = load_golden(tx, [winner, loser], lock=True)
        for golden_id in (winner, loser):
            one = golden.get(golden_id)
            if one is None or one.entity != entity or one.merged_into or one.deleted_at:
                name = golden_id if one is None else name_in_full(hub, tx, one)
                raise DecisionError(f"{name} is not a living {entity}; see `tulay links list`")
        changes = ChangeSet(hub, hub.fresh_id(), hub.clock())
        merge_golden(tx, loser, winner, changes=changes, why=f"{DECIDED} that they are one")
        changes.store(tx)

    hub.store.transact(work)

"""What must be written to a connection, and the state of its link after reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation

from hub.model.policy import EntityPolicy, item_of
from hub.model.state import LinkState
from mappings.canonical.values import Scalar, States, Values


def wanted(
    golden: Mapping[str, Scalar],
    link: LinkState,
    policy: EntityPolicy,
    *,
    writable: Callable[[str], bool],
    conflicts: frozenset[str] = frozenset(),
) -> Values:
    """Returns the fields to write: those where golden != agreed or seen != shown.

    Never a field in conflict, never half a list item, and a blank only if the policy says
    `when_blank: write`, the rest of its unit is filled, or the golden record itself holds it (a
    None that a person has decided).

    >>> link = LinkState({"name": "ACME", "phone": "1"})
    >>> wanted({"name": "Acme SE", "phone": "1"}, link, EntityPolicy(), writable=lambda p: True)
    {'name': 'Acme SE'}
    """
    paths = dict.fromkeys((*golden, *link.seen, *link.agreed))
    units = {policy.unit_of(p) for p in conflicts} - {None}
    torn = tuple(item for p in conflicts if (item := item_of(p)) and _torn(item, golden, link))
    found: Values = {}
    for path in paths:
        value = golden.get(path)
        if value == link.agreed_at(path) and link.seen.get(path) == link.shown_at(path):
            continue
        # Where no value is ever seen (write-only fields), the agreed value counts as shown.
        blank_there = link.seen.get(path) is None and link.agreed_at(path) is None
        # A blank in the golden record itself was decided by a person.
        kept = path not in golden and _keeps(path, golden, policy)
        if value is None and (blank_there or kept):
            continue
        if path in conflicts or policy.unit_of(path) in units or path.startswith(torn):
            continue
        if writable(path):
            found[path] = value
    return found


def _torn(item: str, golden: Mapping[str, Scalar], link: LinkState) -> bool:
    """Returns True if the item is missing on one side, so that all of it waits for the decision."""
    ours = any(v is not None for p, v in golden.items() if p.startswith(item))
    return not ours or not any(p.startswith(item) for p in link.seen)


def _keeps(path: str, golden: Mapping[str, Scalar], policy: EntityPolicy) -> bool:
    """Returns True if a blank must not be written here; part of a filled unit always is."""
    own = policy.of(path)
    if own.unit is None:
        return own.when_blank == "keep"
    filled = any(v is not None and policy.unit_of(p) == own.unit for p, v in golden.items())
    return own.when_blank == "keep" and not filled


def agree(golden: Mapping[str, Scalar], link: LinkState) -> LinkState:
    """Returns the link with the golden value agreed wherever the system already shows it.

    >>> agree({"name": "B"}, LinkState({"name": "B"}, agreed={"name": "A"}, shown={"name": "A"}))
    LinkState(seen={'name': 'B'}, agreed={}, shown={})
    """
    open_paths = [p for p in {**link.agreed, **link.shown} if golden.get(p) == link.seen.get(p)]
    if not open_paths:
        return link
    after = link.copy()
    for path in open_paths:
        after.agreed.pop(path, None)
        after.shown.pop(path, None)
    return after


def settle(
    link: LinkState,
    written: Mapping[str, Scalar],
    read_back: Mapping[str, Scalar],
    *,
    certain: bool = True,
) -> LinkState:
    """Returns the link after a write: agreed as written, shown as read back.

    Not `certain` (found by a probe some time later): a value that cannot be the system's own
    spelling was typed since, and is left for `observe` to find.

    >>> settle(LinkState({"name": "A"}), {"name": "Acme"}, {"name": "ACME"})
    LinkState(seen={'name': 'ACME'}, agreed={'name': 'Acme'}, shown={})
    """
    after = link.copy()
    for path, value in written.items():
        back = read_back.get(path)
        if not certain and not _rewritten(value, back):
            back = value
        after.put(path, seen=back, agreed=value, shown=back)
    return after


def settle_in_doubt(
    link: LinkState, written: Mapping[str, Scalar], read_back: Mapping[str, Scalar]
) -> LinkState:
    """Returns the link after an update in doubt, which may have happened or not.

    A value that has changed since it was seen, and may be the system's own spelling of what was
    sent, is an echo, not news.

    >>> link = LinkState({"name": "A", "city": "Bonn"})
    >>> settle_in_doubt(link, {"name": "Acme", "city": "Ulm"}, {"name": "ACME", "city": "Bonn"})
    LinkState(seen={'name': 'ACME', 'city': 'Bonn'}, agreed={'name': 'Acme'}, shown={})
    """
    after = link.copy()
    for path, value in written.items():
        back = read_back.get(path)
        if value is None or back is None or back == link.seen_at(path):
            continue
        if _rewritten(value, back):
            after.put(path, seen=back, agreed=value, shown=back)
    return after


def _rewritten(value: Scalar, back: Scalar) -> bool:
    """Returns True if `back` may be the system's spelling of `value`: case, spaces, cut, digits."""
    if value is None or value == back:
        return True
    if back is None:
        return False  # a blank; if the field is never shown, it is simply written again
    ours, theirs = ("".join(str(v).casefold().split()) for v in (value, back))
    longer = theirs.removeprefix(ours) if theirs.startswith(ours) else theirs
    cut = ours.startswith(theirs) or not longer.strip(".0")
    return bool(theirs) and (cut or _rounded(ours, theirs))


def _rounded(ours: str, theirs: str) -> bool:
    """Returns True if theirs is our number with fewer digits.

    >>> _rounded("17.25", "17.3"), _rounded("17.25", "17.5"), _rounded("A-1", "A-2")
    (True, False, False)
    """
    try:
        exact, shown = Decimal(ours), Decimal(theirs)
        return abs(exact - shown) < Decimal(1).scaleb(int(shown.as_tuple().exponent))
    except (InvalidOperation, ValueError):
        return False


def route_actions(
    states: States, seen: Scalar, goal: Scalar, acts: Mapping[str, str]
) -> tuple[str, ...]:
    """Returns the actions that lead from the seen state to the goal; empty if there is no way.

    >>> from mappings.canonical.sales_order import SALES_ORDER
    >>> acts = {"quoted": "quote", "confirmed": "confirm"}
    >>> route_actions(SALES_ORDER.states, "draft", "confirmed", acts)
    ('quote', 'confirm')
    >>> route_actions(SALES_ORDER.states, "processing", "confirmed", acts)
    ()
    """
    if goal is None or seen == goal:
        return ()
    route = states.route(None if seen is None else str(seen), str(goal))
    if route is None or not all(state in acts for state in route):
        return ()
    return tuple(acts[state] for state in route)


def forward(states: States | None, path: str, old: Scalar, new: Scalar) -> bool:
    """Returns True if a derivation may replace `old` by `new`: states never move back.

    >>> from mappings.canonical.sales_order import SALES_ORDER
    >>> forward(SALES_ORDER.states, "state", "processing", "confirmed")
    False
    """
    if states is None or path != states.path or old is None or new is None:
        return True
    return old == new or states.route(str(old), str(new)) is not None

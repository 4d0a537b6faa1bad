"""Bugs of deciding: seen, agreed and shown; policies, units, blanks, states; identity; merges."""

from __future__ import annotations

from tests.planted.plant import Plant

_DEFECTS = "tests/scenarios/test_convergence_defects.py"
_PROMISES = "tests/scenarios/test_convergence_promises.py"
_VALUES = "tests/scenarios/test_values.py"
_OBSERVE = "tests/hub/model/test_observe.py"
_MODEL = "tests/hub/model/test_convergence.py"
_IDENTITY = "tests/scenarios/test_identity.py"

PLANTS = (
    Plant(
        "clocks are compared instead of what was seen",
        "P7",
        "hub/model/observe.py",
        """    if theirs == shown:
        return "back", ""
""",
        """    known = [t for p in cell if (t := baseline.changed_at(p)) is not None]
    if context.modified_at is not None and any(context.modified_at <= t for t in known):
        return "repair", "older"
    if theirs == shown:
        return "back", ""
""",
        (_MODEL, f"{_DEFECTS}::test_edits_under_a_slow_clock_count"),
    ),
    Plant(
        "where both changed, the later clock wins",
        "P1",
        "hub/model/observe.py",
        '    if rule == "latest":\n',
        '    if rule == "latest" or context.modified_at is not None:\n',
        (f"{_OBSERVE}::test_clocks_only_decide_for_latest",),
    ),
    Plant(
        "where a person should be asked, the later clock wins",
        "P1",
        "hub/model/observe.py",
        '    if rule == "ask":\n        return "ask", ""\n    if',
        """    if rule == "ask" and context.modified_at is None:
        return "ask", ""
    rule = "latest" if rule == "ask" else rule
    if""",
        (f"{_OBSERVE}::test_clocks_only_decide_for_latest",),
    ),
    Plant(
        "a record older than the golden value is not observed",
        "P7",
        "hub/sync/ingest/observing.py",
        """    if is_older(read.record, link):
        context""",
        """    if is_older(read.record, link) or (
        read.record.modified_at is not None
        and link.id is not None
        and read.record.modified_at < golden.changed_at
    ):
        context""",
        (f"{_DEFECTS}::test_edits_under_a_slow_clock_count",),
    ),
    Plant(
        "what a system showed is dropped from the decision",
        "P4",
        "hub/model/observe.py",
        "    if theirs == shown:\n",
        "    if theirs == agreed:\n",
        (_OBSERVE,),
    ),
    Plant(
        "what a system showed is not stored",
        "P4",
        "hub/model/state.py",
        "        for store, value in ((self.agreed, agreed), (self.shown, shown)):\n",
        "        for store, value in ((self.agreed, agreed), (self.shown, seen)):\n",
        ("tests/hub/model/test_state.py", _MODEL),
    ),
    Plant(
        "what a system shows is agreed on instead of what was written",
        "P4",
        "hub/model/wanted.py",
        """        after.put(path, seen=back, agreed=value, shown=back)
    return after


def settle_in_doubt""",
        """        after.put(path, seen=back, agreed=back, shown=back)
    return after


def settle_in_doubt""",
        ("tests/hub/model/test_wanted.py", _MODEL),
    ),
    Plant(
        "only golden and agreed are compared when writing",
        "P3",
        "hub/model/wanted.py",
        "        if value == link.agreed_at(path) and link.seen.get(path) == link.shown_at(path):\n",
        "        if value == link.agreed_at(path):\n",
        ("tests/hub/model/test_wanted.py", _MODEL),
    ),
    Plant(
        "a blank overwrites",
        "P12",
        "hub/model/observe.py",
        '    if policy.when_blank == "keep" and all(v is None for v in theirs):\n',
        '    if policy.when_blank == "never" and all(v is None for v in theirs):\n',
        (_OBSERVE, f"{_VALUES}::test_an_emptied_field_is_filled_again"),
    ),
    Plant(
        "a blank is written",
        "P12",
        "hub/model/wanted.py",
        "        if value is None and (blank_there or kept):\n",
        "        if value is None and blank_there:\n",
        ("tests/hub/model/test_wanted.py",),
    ),
    Plant(
        "the shipped default lets a blank overwrite",
        "P12",
        "hub/model/policy.py",
        '    when_blank: Literal["keep", "write"] = "keep"\n',
        '    when_blank: Literal["keep", "write"] = "write"\n',
        ("tests/hub/model/test_observe.py", _VALUES),
    ),
    Plant(
        "who owns a field is ignored",
        "P1",
        "hub/model/policy.py",
        "        return self.owners is None or connection in self.owners\n",
        "        return self.owners is None or connection in self.owners or bool(self.owners)\n",
        (_OBSERVE, _VALUES),
    ),
    Plant(
        "a value that policy overrules leaves no history",
        "P1",
        "hub/model/observe.py",
        '                result.changes.append(Change(path, new, ours, "superseded", why))\n',
        "                result.drift = True\n",
        (_OBSERVE, _MODEL),
    ),
    Plant(
        "the named winner is the loser",
        "P1",
        "hub/model/observe.py",
        'return ("take" if rule == context.connection else "repair"), f"{name}: {rule}"',
        'return ("take" if rule != context.connection else "repair"), f"{name}: {rule}"',
        (_OBSERVE, _VALUES),
    ),
    Plant(
        "where a person should be asked, the new value wins",
        "P1",
        "hub/model/observe.py",
        '    if rule == "ask":\n        return "ask", ""\n',
        '    if rule == "ask":\n        return "take", "on_conflict: ask"\n',
        (_OBSERVE, _VALUES),
    ),
    Plant(
        "a field in conflict is taken from its connection",
        "P1",
        "hub/model/observe.py",
        """    if any(p in baseline.conflicts for p in cell):
        return "ask", ""
""",
        "",
        (f"{_OBSERVE}::test_a_conflict_overrides_the_policy",),
    ),
    Plant(
        "a unit is torn",
        "P1",
        "hub/model/observe.py",
        "        return tuple(p for p in paths if policy.unit_of(p) == unit)\n",
        "        return (path,)\n",
        (_OBSERVE, f"{_VALUES}::test_an_address_is_one_unit"),
    ),
    Plant(
        "half a list item is written",
        "P1",
        "hub/model/observe.py",
        "    return (path,) if (theirs and ours) or not known else item_paths\n",
        "    return (path,)\n",
        (_OBSERVE, _MODEL),
    ),
    Plant(
        "a state moves backwards",
        "P3",
        "hub/model/observe.py",
        '    return ("repair", _LAGS_BEHIND) if behind else None\n',
        "    return None\n",
        (_OBSERVE, "tests/hub/model/test_observe_properties.py"),
    ),
    Plant(
        "a flow moves a state backwards",
        "P3",
        "hub/model/wanted.py",
        "    return old == new or states.route(str(old), str(new)) is not None\n",
        "    return old != new or states.route(str(old), str(new)) is not None\n",
        ("hub/model/wanted.py", "tests/hub/model/test_wanted.py"),
    ),
    Plant(
        "a match links although something contradicts",
        "P2",
        "hub/model/matching.py",
        "    fitting = [c for c in candidates if not _contradicts(entity, values, c.values)]\n",
        "    fitting = list(candidates)\n",
        ("tests/hub/model/test_matching.py", _IDENTITY),
    ),
    Plant(
        "of two candidates the first is linked",
        "P2",
        "hub/model/matching.py",
        "        if len(first) == 1:\n            return Linked(first[0])\n",
        "        if first:\n            return Linked(first[0])\n",
        ("tests/hub/model/test_matching.py", _IDENTITY),
    ),
    Plant(
        "a golden record with a record in a system is linked to a second one",
        "P2",
        "hub/sync/ingest/identity.py",
        "            if g in golden and g not in taken and _alive(golden[g])\n",
        "            if g in golden and _alive(golden[g])\n",
        (f"{_PROMISES}::test_two_records_of_a_page_stay_two_entities",),
    ),
    Plant(
        "our own id in a record is ignored",
        "P2",
        "hub/sync/ingest/identity.py",
        "    _by_external_id(tx, channel, read, found=found)\n",
        "",
        (_DEFECTS, "tests/scenarios/test_lost_answers.py"),
    ),
    Plant(
        "a new record that may be gone becomes primary",
        "P3",
        "hub/sync/ingest/linking.py",
        "        elif link is not None and context.origin.may_be_old and link.gone_at is not None:\n",
        "        elif link is not None and context.origin.may_be_old and not link.gone_at:\n",
        ("tests/scenarios/test_secondary_links.py",),
    ),
    Plant(
        "a record joins an entity with a primary and becomes primary, too",
        "P6",
        "hub/sync/ingest/identity.py",
        "    found.secondary |= _secondaries(tx, channel, found.known)\n",
        "",
        ("tests/scenarios/test_identity.py",),
    ),
    Plant(
        "a merge drops the loser's values",
        "P1",
        "hub/sync/merge/merging.py",
        "    changes.history(winner_id, lost, connection=origin)\n",
        "",
        (f"{_IDENTITY}::test_two_customers_merged_in_the_crm_are_one",),
    ),
    Plant(
        "a merge leaves the loser's history behind",
        "P1",
        "hub/sync/merge/merging.py",
        "    history.move(tx, loser_id, winner_id)\n",
        "",
        (f"{_PROMISES}::test_a_merge_keeps_the_history_of_both",),
    ),
    Plant(
        "a merge leaves the children with the loser",
        "P1",
        "hub/sync/merge/merging.py",
        "    _move_references(tx, loser_id, winner_id, changes=changes)\n",
        "",
        (f"{_PROMISES}::test_untouched_children_follow_a_merge",),
    ),
    Plant(
        "what a person decides about a conflict leaves no history",
        "P1",
        "hub/sync/operate/resolve.py",
        "        self._remember(change, self.link.connection)\n",
        "        assert change is not None\n",
        ("tests/hub/sync/test_resolve.py",),
    ),
    Plant(
        "figures keep an order that has moved away",
        "P3",
        "hub/sync/changeset.py",
        "            self._effects.dirty |= _parents_left(entity, golden, values)\n",
        "            self._effects.resumed |= _parents_left(entity, golden, values)\n",
        (f"{_DEFECTS}::test_figures_follow_an_order_that_moves",),
    ),
    Plant(
        "figures keep an order that was deleted",
        "P3",
        "hub/sync/flows.py",
        "        if path is not None:\n            by_path",
        "        if path is not None and golden.deleted_at is None:\n            by_path",
        (f"{_DEFECTS}::test_figures_leave_out_a_deleted_order",),
    ),
    Plant(
        "a deal with the order of a merged one gets a second order",
        "P2",
        "hub/sync/flow_facts.py",
        "            found = next((one for one in candidates if one in others[winner]), None)\n",
        "            found = next((one for one in candidates if one not in others[winner]), None)\n",
        ("tests/scenarios/test_selling.py::test_a_merged_deal_brings_its_order_along",),
    ),
    Plant(
        "a record merged before it was known is waited for",
        "P3",
        "hub/sync/ingest/deletions.py",
        "    changes.resolve((connection, stream), into)\n",
        "    changes.resolve((connection, stream), [])\n",
        ("tests/scenarios/test_merged_unknown.py",),
    ),
)

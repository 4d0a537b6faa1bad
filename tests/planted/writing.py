"""Bugs of writing: probes, intents, outbox entries, leases, versions."""

from __future__ import annotations

from tests.planted.plant import Plant

_DEFECTS = "tests/scenarios/test_convergence_defects.py"
_PROMISES = "tests/scenarios/test_convergence_promises.py"
_TROUBLE = "tests/scenarios/test_trouble.py"
_UNANSWERED = "tests/scenarios/test_lost_answers.py"
_VALUES = "tests/scenarios/test_values.py"
_CRASHES = "tests/scenarios/test_crashes.py"
_QUEUES = "tests/hub/store/test_queues.py"

PLANTS = (
    Plant(
        "a repeated create is not probed",
        "P2",
        "hub/sync/push/in_doubt.py",
        "    made = channel.connector.find(channel.stream, list(sent))\n",
        "    made = dict.fromkeys(()) if sent else channel.connector.find(channel.stream, [])\n",
        (f"{_PROMISES}::test_a_create_in_doubt_is_probed_first",),
    ),
    Plant(
        "the state of a create in flight is ignored",
        "P2",
        "hub/sync/push/in_doubt.py",
        '    return job.entry.state == "in_flight" and (',
        '    return job.entry.state == "unknown" and (',
        (f"{_PROMISES}::test_creates_of_a_dead_process_are_probed",),
    ),
    Plant(
        "where no hub id is kept, a create is repeated at once",
        "P2",
        "hub/sync/push/in_doubt.py",
        """        _recognise(batch, channel, unknown)
        return
""",
        "        return\n",
        (f"{_UNANSWERED}::test_without_external_ids_values_are_probed",),
    ),
    Plant(
        "the intent to create is stored after the call",
        "P2",
        "hub/sync/push/sending.py",
        """    writes = intend(batch, channel, writes)
    if not writes:
        return
    try:
        outcomes = channel.connector.write(channel.stream, [write for _, write in writes])
""",
        """    if not writes:
        return
    try:
        outcomes = channel.connector.write(channel.stream, [write for _, write in writes])
        intend(batch, channel, writes)
""",
        (f"{_PROMISES}::test_creates_of_a_dead_process_are_probed",),
    ),
    Plant(
        "the intent to create does not reach the disk",
        "P2",
        "hub/sync/push/sending.py",
        "    held = batch.hub.store.transact(store_intention, durable=bool(creates))\n",
        "    held = batch.hub.store.transact(store_intention)\n",
        (f"{_PROMISES}::test_inbox_and_outbox_survive_a_power_cut",),
    ),
    Plant(
        "a record is created although it was matched meanwhile",
        "P2",
        "hub/sync/push/in_doubt.py",
        "        if primary_link(known, channel) is not None:\n",
        "        if primary_link((), channel) is not None:\n",
        ("tests/scenarios/test_together.py",),
    ),
    Plant(
        "merged records are not considered before a record is created",
        "P2",
        "hub/sync/push/in_doubt.py",
        "    into = merges.survivors(tx, merged).values() if merged else ()\n",
        "    into = merges.survivors(tx, merged).values() if not merged else ()\n",
        ("tests/scenarios/test_merged_in_doubt.py",),
    ),
    Plant(
        "a merge drops a create in doubt",
        "P2",
        "hub/store/outbox.py",
        '    outbox.c.golden_id == bindparam("_id"),\n    outbox.c.state != "in_flight",\n',
        '    outbox.c.golden_id == bindparam("_id"),\n',
        ("tests/scenarios/test_merged_in_doubt.py",),
    ),
    Plant(
        "sent values are dropped when the record has changed since",
        "P2",
        "hub/sync/ingest/identity.py",
        "    unmet = [i for i, survivor in alive.items() if i != survivor or i not in taken]\n",
        "    unmet = [i for i, survivor in alive.items() if i != survivor]\n",
        ("tests/scenarios/test_merged_in_doubt.py",),
    ),
    Plant(
        "an unreadable record that a probe found is created again",
        "P2",
        "hub/sync/push/in_doubt.py",
        """            batch.decide(job.entry, postponed(job.entry.attempts, reason, state=None))


def _recognise""",
        """            assert reason


def _recognise""",
        ("tests/scenarios/test_crashes.py", _UNANSWERED),
    ),
    Plant(
        "a record merged before its create was confirmed is created again",
        "P2",
        "hub/sync/push/in_doubt.py",
        "        merge_into_survivor(batch.hub, channel, job.golden.id, key, run=batch.tally.id)\n",
        "        pass\n",
        (f"{_UNANSWERED}::test_a_create_merged_in_doubt_is_one_record",),
    ),
    Plant(
        "a merge vacates a dead primary, so that a deleted record comes back",
        "P8",
        "hub/sync/merge/merging.py",
        "if n.gone_at is not None and (n.connection, n.stream) in alive]",
        "if n.gone_at is not None]",
        ("tests/scenarios/test_endings.py",),
    ),
    Plant(
        "records that refer to a restored one are not enqueued",
        "P3",
        "hub/sync/ingest/observing.py",
        "    if restored or (link.id is None and one.follows_gone):\n",
        "    if restored:\n",
        ("tests/scenarios/test_endings.py",),
    ),
    Plant(
        "an edit of a secondary record does not reach the primary",
        "P3",
        "hub/sync/ingest/observing.py",
        """    if not link.is_primary:
        return  # never""",
        """    if not link.is_primary and link.gone_at:
        return  # never""",
        ("tests/scenarios/test_secondary_links.py",),
    ),
    Plant(
        "enqueueing again resets a create in flight",
        "P2",
        "hub/store/outbox.py",
        '"state": case((outbox.c.state == "in_flight", "in_flight"), else_="due"),',
        '"state": "due",',
        (f"{_QUEUES}::test_a_create_stays_in_doubt_until_complete", _DEFECTS),
    ),
    Plant(
        "a create in doubt is due again as if it had not been sent",
        "P2",
        "hub/sync/push/verdict.py",
        "    happened_not = isinstance(error, RateLimitedError) or not isinstance(write, Create)\n",
        "    happened_not = True\n",
        (f"{_UNANSWERED}::test_a_row_without_an_answer_is_probed",),
    ),
    Plant(
        "a write in doubt is taken for a user's edit",
        "P4",
        "hub/sync/ingest/linking.py",
        "            in_doubt=locked.in_doubt.get(read.key),\n",
        "            in_doubt=None,\n",
        (f"{_DEFECTS}::test_an_update_in_doubt_is_not_a_users_edit",),
    ),
    Plant(
        "a lost create without a hub id is not recognised",
        "P4",
        "hub/sync/ingest/identity.py",
        "    keys = found.known if nameless else found.created\n",
        "    keys = found.created\n",
        (f"{_DEFECTS}::test_a_lost_create_keeps_our_spelling",),
    ),
    Plant(
        "an entry enqueued again during its push is dropped",
        "P1",
        "hub/store/outbox.py",
        'bindparam("_id"), outbox.c.generation == bindparam("_generation")\n',
        'bindparam("_id")\n',
        (
            f"{_QUEUES}::test_an_entry_enqueued_in_flight_stays",
            f"{_DEFECTS}::test_an_entry_renewed_in_flight_is_sent_again",
        ),
    ),
    Plant(
        "enqueueing an entry again does not raise its generation",
        "P1",
        "hub/store/outbox.py",
        '        "generation": outbox.c.generation + 1,\n        "due_at": statement',
        '        "due_at": statement',
        (
            f"{_QUEUES}::test_an_entry_enqueued_in_flight_stays",
            f"{_DEFECTS}::test_an_entry_renewed_in_flight_is_sent_again",
        ),
    ),
    Plant(
        "an entry that another worker leases is leased all the same",
        "P2",
        "hub/store/outbox.py",
        '    or_(outbox.c.leased_until.is_(None), outbox.c.leased_until < bindparam("_now")),\n',
        "    or_(outbox.c.leased_until.is_(None), outbox.c.id > 0),\n",
        (_QUEUES,),
    ),
    Plant(
        "a lease is read but not written",
        "P2",
        "hub/store/outbox.py",
        '            taken = {"leased_by": worker, "leased_until": now + LEASE}\n',
        '            taken = {"leased_by": worker}\n',
        (_QUEUES,),
    ),
    Plant(
        "a dead worker's lease never ends",
        "P11",
        "hub/store/outbox.py",
        '    or_(outbox.c.leased_until.is_(None), outbox.c.leased_until < bindparam("_now")),\n',
        "    outbox.c.leased_until.is_(None),\n",
        (_QUEUES, _CRASHES),
    ),
    Plant(
        "a write has no if_version",
        "P1",
        "hub/sync/push/plan.py",
        "    return Update(job.link.key, payload, job.record.version) if payload else None\n",
        "    return Update(job.link.key, payload, None) if payload else None\n",
        (f"{_PROMISES}::test_an_edit_during_our_write_survives",),
    ),
    Plant(
        "a record is not read before it is written",
        "P1",
        "hub/sync/push/before_write.py",
        "    batch.ingest(channel, page, origin=Origin.BEFORE_WRITE, jobs=linked)\n",
        "    batch.refresh(linked, channel)\n",
        (_DEFECTS, _VALUES, _UNANSWERED, _TROUBLE),
    ),
    Plant(
        "a field in conflict is written",
        "P1",
        "hub/model/wanted.py",
        "        if path in conflicts or policy.unit_of(path) in units or path.startswith(torn):\n",
        "        if policy.unit_of(path) in units or path.startswith(torn):\n",
        ("tests/hub/model/test_wanted.py", _VALUES),
    ),
    Plant(
        "the writer ignores which fields are in conflict",
        "P1",
        "hub/sync/push/plan.py",
        "            conflicts=conflicts.get(job.link.id or 0, frozenset()),\n",
        "            conflicts=conflicts.get(0, frozenset()),\n",
        (_VALUES,),
    ),
    Plant(
        "echo: every record is enqueued for the system it was read from",
        "P4",
        "hub/sync/ingest/observing.py",
        "    if context.origin.enqueues and _lacks(context, link, golden, seen=seen):\n",
        "    if context.origin.enqueues:\n",
        (f"{_PROMISES}::test_no_value_is_written_back_to_its_source",),
    ),
    Plant(
        "echo: a value is written back to its source",
        "P4",
        "hub/sync/ingest/observing.py",
        """        changes.enqueue(link.connection, golden)
    else:
        changes.cancel""",
        """        changes.enqueue(link.connection, golden)
    elif not link.id:
        changes.cancel""",
        (f"{_PROMISES}::test_no_value_is_written_back_to_its_source",),
    ),
    Plant(
        "everything is written, wanted or not",
        "P4",
        "hub/model/wanted.py",
        """        if value == link.agreed_at(path) and link.seen.get(path) == link.shown_at(path):
            continue
""",
        "",
        ("tests/hub/model/test_wanted.py", _VALUES),
    ),
    Plant(
        "a secondary link keeps the next record from becoming primary",
        "P2",
        "hub/sync/ingest/identity.py",
        "        if link.stream == channel.stream and link.gone_at is None and link.is_primary\n",
        "        if link.stream == channel.stream and link.gone_at is None\n",
        ("tests/scenarios/test_secondary_links.py",),
    ),
    Plant(
        "a secondary link does not become primary when the primary is deleted",
        "P3",
        "hub/sync/ingest/deletions.py",
        "            if next_primary is not None:\n                hand_over",
        "            if next_primary is not None and next_primary.is_primary:\n                hand_over",
        ("tests/scenarios/test_secondary_links.py",),
    ),
    Plant(
        "deleting one of two records deletes the entity",
        "P8",
        "hub/sync/ingest/deletions.py",
        'policy.delete == "propagate" and link.is_primary and next_primary is None',
        'policy.delete == "propagate" and link.is_primary',
        ("tests/scenarios/test_secondary_links.py",),
    ),
    Plant(
        "a restored record does not become primary without another one",
        "P3",
        "hub/sync/ingest/observing.py",
        "    if restored and not link.is_primary:\n",
        "    if restored and link.is_primary:\n",
        ("tests/scenarios/test_secondary_links.py",),
    ),
    Plant(
        "a push that makes itself due again never ends",
        "P3",
        "hub/sync/push/push.py",
        "        while left > 0 and (entries := _lease(hub, target)):\n",
        "        while left > -5_000 and (entries := _lease(hub, target)):\n",
        (f"{_TROUBLE}::test_an_endless_push_is_ended",),
    ),
    Plant(
        "what was read back is not kept",
        "P4",
        "hub/sync/ingest/observing.py",
        "    if one.written is not None:\n",
        "    if one.written is not None and not one.link.is_primary:\n",
        (_VALUES, _DEFECTS),
    ),
    Plant(
        "a deletion is propagated without a policy",
        "P8",
        "hub/model/policy.py",
        '    delete: Literal["keep", "propagate"] = "keep"\n',
        '    delete: Literal["keep", "propagate"] = "propagate"\n',
        ("tests/hub/model/test_policy.py", "tests/scenarios/test_convergence_defects.py"),
    ),
    Plant(
        "every deletion is propagated",
        "P8",
        "hub/sync/ingest/deletions.py",
        '    propagate = policy.delete == "propagate" and link.is_primary and next_primary is None\n',
        '    propagate = policy.delete != "never" and link.is_primary and next_primary is None\n',
        ("tests/scenarios/test_endings.py",),
    ),
    Plant(
        "a record that is gone makes room for a new one",
        "P8",
        "hub/sync/merge/primary.py",
        "    return next((n for n in links if n.stream == channel.stream and n.is_primary), None)\n",
        "    return next(\n"
        "        (n for n in links if (n.stream, n.is_primary, n.gone_at) == (channel.stream, True, None)), None\n"
        "    )\n",
        ("tests/scenarios/test_endings.py",),
    ),
    Plant(
        "a child is written before its parent is there",
        "P1",
        "hub/sync/push/plan.py",
        "            return Waiting(targets.absent[str(value)], str(value))\n",
        "            continue\n",
        ("tests/scenarios/test_convergence.py", "tests/scenarios/test_identity.py"),
    ),
    Plant(
        "a record quarantined in its system is created again",
        "P2",
        "hub/sync/unfinished.py",
        "        keys = quarantine.matching(tx, channel.connection, channel.stream, prints)\n",
        "        keys = quarantine.matching(tx, channel.connection, channel.stream, ())\n",
        ("tests/scenarios/test_quarantine.py",),
    ),
    Plant(
        "the survivor of a merge does not become primary",
        "P2",
        "hub/sync/ingest/deletions.py",
        "        make_primary(tx, into, changes=changes)\n",
        "        changes.link_changed(into)\n",
        ("tests/scenarios/test_endings.py",),
    ),
    Plant(
        "an action uses the version of the link as if_version",
        "P1",
        "hub/sync/push/actions.py",
        "    return Action(job.link.key, actions[0], known.version)\n",
        "    return Action(job.link.key, actions[0], job.link.version if known else None)\n",
        ("tests/scenarios/test_convergence_defects.py",),
    ),
)

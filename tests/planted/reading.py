"""Bugs of reading: cursors, pages, sweeps, notifications, counts, receivers."""

from __future__ import annotations

from tests.planted.plant import Plant

_DEFECTS = "tests/scenarios/test_convergence_defects.py"
_PROMISES = "tests/scenarios/test_convergence_promises.py"
_TROUBLE = "tests/scenarios/test_trouble.py"
_ENDINGS = "tests/scenarios/test_endings.py"
_HOOKS = "tests/hub/web/test_webhooks.py"

PLANTS = (
    Plant(
        "cursor stored before its page",
        "P5",
        "hub/sync/ingest/pull.py",
        """    tally.become(hub.store.transact(store_page))
""",
        """    with hub.store.begin() as early:
        saved = {"fingerprint": channel.mapping.fingerprint, "cursor": page.cursor}
        save_stream(early, channel.connection, channel.stream, **saved)
    tally.become(hub.store.transact(store_page))
""",
        (f"{_DEFECTS}::test_a_crash_before_storing_keeps_the_cursor",),
    ),
    Plant(
        "cursor of the whole read stored with its first page",
        "P5",
        "hub/sync/ingest/pull.py",
        """    with closing(ahead(channel.connector.pages(stream, since))) as pages:
        for read in pages:
""",
        """    with closing(ahead(channel.connector.pages(stream, since))) as found:
        pages = list(found)
        since = next((p.cursor for p in reversed(pages) if p.cursor), since)
        with hub.store.begin() as tx:
            save_stream(tx, connection, stream, cursor=since)
        for read in pages:
""",
        (f"{_DEFECTS}::test_a_crash_before_storing_keeps_the_cursor",),
    ),
    Plant(
        "cursor kept although the mapping has changed",
        "P5",
        "hub/sync/ingest/pull.py",
        "since = state.cursor if same_mapping else None",
        "since = state.cursor if same_mapping or state.cursor else None",
        ("tests/scenarios/test_trouble.py", "tests/scenarios/test_values.py"),
    ),
    Plant(
        "no overlap of two reads (HubSpot)",
        "P5",
        "connectors/hubspot/increments.py",
        "lower = cursor.until - self._overlap",
        "lower = cursor.until",
        ("tests/connectors/hubspot/test_reading.py",),
    ),
    Plant(
        "no overlap of two reads (Tryton)",
        "P5",
        "connectors/tryton/reading.py",
        "start = start or self._now() - self._overlap",
        "start = start or self._now()",
        ("tests/connectors/tryton/test_tryton_overlap.py",),
    ),
    Plant(
        "no overlap of two reads (memory)",
        "P5",
        "connectors/memory/connector.py",
        "self._overlap = 5.0 if overlap is None else float(overlap)",
        "self._overlap = 0.0",
        ("tests/connectors/memory", "tests/scenarios/test_convergence.py"),
    ),
    Plant(
        "a stale page is applied",
        "P7",
        "hub/sync/freshness.py",
        "        and record.modified_at < link.modified_at\n",
        "        and record.modified_at == link.modified_at.min\n",
        (f"{_DEFECTS}::test_an_old_page_overwrites_no_newer_value",),
    ),
    Plant(
        "what another process changed in a link before our lock is undone",
        "P1",
        "hub/sync/locking.py",
        """        links = links_by_key(tx, connection, stream, keys)
        wanted = _of""",
        """        wanted = _of""",
        ("tests/scenarios/test_together.py",),
    ),
    Plant(
        "of two states with equal times the page's is applied",
        "P7",
        "hub/sync/freshness.py",
        "    return same_time and record.version != link.version\n",
        "    return same_time and record.version is None\n",
        (f"{_TROUBLE}::test_equal_timestamps_do_not_tell_the_newer",),
    ),
    Plant(
        "of two states in one page the later one counts, not the newer",
        "P7",
        "hub/sync/freshness.py",
        "    return known if known.modified_at > found.modified_at else found",
        "    return found",
        (f"{_TROUBLE}::test_a_key_twice_in_a_page_counts_as_newest",),
    ),
    Plant(
        "an old page brings a deleted record back",
        "P8",
        "hub/sync/ingest/observing.py",
        "    elif context.origin.may_be_old and link.gone_at is not None:\n",
        "    elif context.origin.may_be_old and link.gone_at is not None and link.id is None:\n",
        (f"{_TROUBLE}::test_an_older_page_restores_no_deleted_record",),
    ),
    Plant(
        "an incomplete sweep is trusted",
        "P8",
        "hub/sync/ingest/sweep.py",
        """            for portion in channel.connector.keys(stream):
                present.add(portion)
                show.advance(f"{connection}.{stream}", len(portion))
""",
        """            try:
                for portion in channel.connector.keys(stream):
                    present.add(portion)
            except ConnectorError as error:
                show.done(str(error))
""",
        (
            f"{_ENDINGS}::test_an_aborted_sweep_deletes_nothing",
            f"{_DEFECTS}::test_an_incomplete_sweep_deletes_nothing",
        ),
    ),
    Plant(
        "a record that a sweep misses is deleted without a fetch",
        "P8",
        "hub/sync/ingest/sweep.py",
        "        page = channel.connector.fetch(stream, missing)\n",
        "        page = Page(gone=list(missing))\n",
        (f"{_DEFECTS}::test_a_record_a_sweep_missed_is_fetched_first",),
    ),
    Plant(
        "an incomplete sweep is trusted, and nothing is fetched",
        "P8",
        "hub/sync/ingest/sweep.py",
        """            for portion in channel.connector.keys(stream):
                present.add(portion)
                show.advance(f"{connection}.{stream}", len(portion))
            take_missing(hub, channel, present, tally=tally)
            if _wants_gaps(hub, channel):
""",
        """            try:
                for portion in channel.connector.keys(stream):
                    present.add(portion)
            except ConnectorError as error:
                show.done(str(error))
            for missing in _missing(hub, channel, present):
                with hub.store.begin() as tx:
                    take_in(hub, tx, channel, page=Page(gone=list(missing)), tally=tally)
            if _wants_gaps(hub, channel):
""",
        (
            f"{_ENDINGS}::test_an_aborted_sweep_deletes_nothing",
            f"{_DEFECTS}::test_an_incomplete_sweep_deletes_nothing",
        ),
    ),
    Plant(
        "a change over the limit is applied",
        "P9",
        "hub/model/change_limits.py",
        "    return touched > limit.records and touched > limit.share * known",
        "    return touched > limit.records * 1_000_000 and touched > limit.share * known",
        (_ENDINGS, "tests/hub/model/test_change_limits.py"),
    ),
    Plant(
        "a pull has no change limit",
        "P9",
        "hub/sync/ingest/pull.py",
        "        guard(hub, counted, known=known, accepted=state.accepted)\n",
        "",
        (f"{_ENDINGS}::test_too_many_changes_wait_for_a_person",),
    ),
    Plant(
        "a sweep has no change limit",
        "P9",
        "hub/sync/ingest/sweep.py",
        """    if not accepted:
        _look_before(hub, channel, present, tally=tally, known=linked)
    for missing in _missing(hub, channel, present):
        page = channel.connector.fetch(stream, missing)

        def store_portion(tx: Transaction, page: Page = page) -> Tally:
            counted = tally.copy()
            ingest(hub, tx, channel, page=page, tally=counted)
            guard(hub, counted, known=linked, accepted=accepted)
""",
        """    for missing in _missing(hub, channel, present):
        page = channel.connector.fetch(stream, missing)

        def store_portion(tx: Transaction, page: Page = page) -> Tally:
            counted = tally.copy()
            ingest(hub, tx, channel, page=page, tally=counted)
""",
        (_ENDINGS,),
    ),
    Plant(
        "a part of a sweep over the limit is applied before it pauses",
        "P9",
        "hub/sync/ingest/sweep.py",
        """    if not accepted:
        _look_before(hub, channel, present, tally=tally, known=linked)
""",
        "",
        (_ENDINGS,),
    ),
    Plant(
        "many small runs are not measured together",
        "P9",
        "hub/sync/change_limits.py",
        "    if exceeds_window_limit(tally.lately, known, limit):\n",
        "    if exceeds_window_limit(tally.lately, known, limit) and tally.recent_changes > limit.records:\n",
        ("tests/scenarios/test_change_limits.py::test_single_deletions_add_up_to_the_limit",),
    ),
    Plant(
        "approved changes of many small runs must be approved again",
        "P9",
        "hub/sync/change_limits.py",
        """        recent_changes.forget(tx, connection, stream, kinds=_SEEN)
        return
""",
        """        recent_changes.note(tx, connection, stream, tally.recent, now=hub.clock())
        return
""",
        ("tests/scenarios/test_change_limits.py::test_many_changes_wait_for_one_approval",),
    ),
    Plant(
        "deletions by the hub are not measured",
        "P9",
        "hub/sync/change_limits.py",
        "        if not exceeds_limit(wanted + lately, known, hub.limit):\n",
        "        if not exceeds_limit(lately, known, hub.limit):\n",
        ("tests/scenarios/test_change_limits.py::test_deletions_by_the_hub_wait_for_a_person",),
    ),
    Plant(
        "counts do not add up: a record twice in a page is forgotten",
        "P10",
        "hub/sync/ingest/unchanged.py",
        "    context.tally.same += len(found) - len(latest)  # the same key twice in one page\n",
        "",
        (f"{_TROUBLE}::test_a_key_twice_in_a_page_counts_as_newest",),
    ),
    Plant(
        "counts do not add up: skipped records are not counted",
        "P10",
        "hub/store/runs.py",
        "        self.skipped[reason] = self.skipped.get(reason, 0) + count\n",
        "        self.skipped[reason] = self.skipped.get(reason, 0)\n",
        (_TROUBLE, _ENDINGS),
    ),
    Plant(
        "a run whose counts do not add up is not inconsistent",
        "P10",
        "hub/sync/ingest/stream_run.py",
        "        wrong = None if tally.adds_up else",
        "        wrong = None if tally.seen >= 0 else",
        (f"{_PROMISES}::test_a_pull_with_wrong_counts_is_inconsistent",),
    ),
    Plant(
        "an inbox run whose counts do not add up is not inconsistent",
        "P10",
        "hub/sync/ingest/inbox.py",
        "            elif not tally.adds_up:\n",
        "            elif tally.seen < 0:\n",
        (f"{_PROMISES}::test_a_pull_with_wrong_counts_is_inconsistent",),
    ),
    Plant(
        "a webhook is acknowledged before the commit",
        "P5",
        "hub/web/inbox.py",
        "        await delivery.stored\n",
        "        await asyncio.sleep(0)\n",
        (_HOOKS,),
    ),
    Plant(
        "a webhook is acknowledged although the commit failed",
        "P5",
        "hub/web/inbox.py",
        "            return False\n        self.commits",
        "            return True\n        self.commits",
        (f"{_HOOKS}::test_without_a_database_the_sender_may_retry",),
    ),
    Plant(
        "a notification is stored without reaching the disk",
        "P5",
        "hub/sync/ingest/webhooks.py",
        "    with store.begin(durable=True) as tx:\n",
        "    with store.begin() as tx:\n",
        (f"{_PROMISES}::test_inbox_and_outbox_survive_a_power_cut",),
    ),
    Plant(
        "the inbox drops notifications that arrived meanwhile",
        "P5",
        "hub/sync/ingest/inbox.py",
        "            inbox.done(tx, [item.id for item in items])\n\n        keys",
        """            inbox.done(
                tx,
                [
                    late.id
                    for late in inbox.due(
                        tx, self.source.name, channel.stream, now=self.hub.clock(), limit=1000
                    )
                ],
            )

        keys""",
        (f"{_PROMISES}::test_a_notification_during_processing_is_kept",),
    ),
    Plant(
        "notifications are removed before they are processed",
        "P5",
        "hub/sync/ingest/inbox.py",
        "        page, refused = _truth(channel, keys)\n",
        """        with self.hub.store.begin() as tx:
            done(tx)
        page, refused = _truth(channel, keys)
""",
        (f"{_TROUBLE}::test_a_notification_waits_for_its_system",),
    ),
    Plant(
        "a quarantine entry is never tried again",
        "P6",
        "hub/sync/ingest/inbox.py",
        "            if not work.inbox() and not work.retry_quarantined():\n",
        "            if not work.inbox():\n",
        ("tests/scenarios/test_identity.py", _TROUBLE),
    ),
    Plant(
        "a retried quarantine entry is not due",
        "P6",
        "hub/store/quarantine.py",
        """{"_ids": ids, "state": "waiting", "next_attempt_at": now}""",
        """{"_ids": ids, "next_attempt_at": now}""",
        (
            f"{_TROUBLE}::test_a_quarantined_record_can_be_retried",
            "tests/hub/store/test_quarantine.py",
        ),
    ),
    Plant(
        "a quarantine entry stays although its record has arrived",
        "P6",
        "hub/sync/ingest/observing.py",
        "        changes.resolve((connection, stream), [key])\n",
        "        changes.resolve((connection, stream), [])\n",
        (_TROUBLE, "tests/scenarios/test_identity.py"),
    ),
    Plant(
        "a bad record stops its page",
        "P6",
        "hub/sync/ingest/unchanged.py",
        """            context.tally.quarantined += 1
            changes.quarantine""",
        """            raise
            changes.quarantine""",
        (_TROUBLE,),
    ),
    Plant(
        "an old delivery is accepted",
        "security",
        "connectors/kit/signatures.py",
        "    return abs(now - stamp) <= tolerance\n",
        "    return abs(now - stamp) <= tolerance * 1000\n",
        (f"{_HOOKS}::test_all_untrusted_deliveries_look_alike",),
    ),
    Plant(
        "an old delivery is accepted by one system",
        "security",
        "connectors/memory/webhooks.py",
        "    return ours and recent(sent_at, request.received_at, tolerance=_TOLERANCE)\n",
        "    return ours\n",
        (f"{_HOOKS}::test_all_untrusted_deliveries_look_alike",),
    ),
    Plant(
        "a forged delivery is accepted",
        "security",
        "hub/web/webhooks.py",
        "        if not connector.verify(self._delivery(request, body)):\n",
        "        if not connector.verify(self._delivery(request, body)) and not body:\n",
        (_HOOKS,),
    ),
    Plant(
        "the lease of a stream is ignored",
        "P11",
        "hub/store/streams.py",
        "    return tx.execute(_LEASE, {**given, **lease}).rowcount == 1\n",
        "    return tx.execute(_LEASE, {**given, **lease}).rowcount <= 1\n",
        ("tests/hub/store/test_progress.py",),
    ),
)

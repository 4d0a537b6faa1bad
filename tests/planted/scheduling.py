"""Bugs of scheduling: work due too early, work that hides other work, leases of other processes."""

from __future__ import annotations

from tests.planted.plant import Plant

_SCHEDULING = "tests/scenarios/test_scheduling.py"
_DISPATCH = "tests/worker/test_dispatch.py"

PLANTS = (
    Plant(
        "a system is written to before it was read",
        "P2",
        "hub/sync/due.py",
        "            if name in speaking and name in self.waiting.push and not self._never_read(name):\n",
        "            if name in speaking and name in self.waiting.push:\n",
        (f"{_SCHEDULING}::test_an_erp_that_cannot_be_read",),
    ),
    Plant(
        "flows run before everything was read",
        "P2",
        "hub/sync/due.py",
        "        if self.waiting.derive and not any(map(self._never_read, self.hub.connections)):\n",
        "        if self.waiting.derive:\n",
        (f"{_DISPATCH}::test_nothing_is_written_to_an_unread_target",),
    ),
    Plant(
        "one entity is read without what its records refer to",
        "P6",
        "hub/sync/due.py",
        "                wanted |= {channel.stream, *self._unread_parents(channel)}\n",
        "                wanted |= {channel.stream}\n",
        (f"{_SCHEDULING}::test_requested_records_come_after_parents",),
    ),
    Plant(
        "notifications of a paused stream are due without end",
        "P11",
        "hub/sync/due.py",
        "        return any((connection, one) not in self.paused for one in known)\n",
        "        return bool(known)\n",
        (f"{_SCHEDULING}::test_paused_work_is_not_tried_endlessly",),
    ),
    Plant(
        "a sync does not take over leases of a dead process",
        "P11",
        "hub/sync/attempt.py",
        "        dead = [name for name in leases.holders(tx) if name != hub.worker and is_dead(name)]\n",
        "        dead: list[str] = []\n",
        (f"{_SCHEDULING}::test_the_dead_are_taken_over_at_once",),
    ),
    Plant(
        "a sync ends while another process holds what is left to do",
        "P11",
        "hub/sync/run.py",
        "            elif now.held:\n",
        "            elif now.held and self.stuck:\n",
        (f"{_SCHEDULING}::test_a_live_workers_lease_is_waited_for",),
    ),
    Plant(
        "a worker that never releases its lease is not reported",
        "P10",
        "hub/sync/run.py",
        "    report.held, report.unread = left.held, dict(left.unread)\n",
        "    report.held, report.unread = (), dict(left.unread)\n",
        (f"{_SCHEDULING}::test_a_worker_that_never_lets_go_is_named",),
    ),
)

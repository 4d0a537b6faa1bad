"""Takes a page in: compares it with what is known, decides by hub.model, stores what follows.

One transaction a page. An unchanged record costs one comparison of digests and no write. One bad
record is set aside; the page goes on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection as Transaction

from connectors.kit.contract import Merge, Page, Record
from hub.flows.facts import derived_id
from hub.model.matching import certain_prints
from hub.model.observe import Change, Ground, Observation, Sighting, observe
from hub.model.state import LinkState
from hub.model.want import agree, route_actions, settle, settle_unheard, wanted
from hub.store import aside, inbox, quarantine, unheard
from hub.store.conflicts import contested, open_paths
from hub.store.engine import lock_identities
from hub.store.golden import Golden
from hub.store.links import Link, gone_here, link_digests, links_by_key, vacate_primary
from hub.store.quarantine import QuarantineEntry
from hub.store.reviews import ask_review, drop_reviews
from hub.store.runs import Tally
from hub.sync.changeset import Consequences, changed_at, new_golden
from hub.sync.context import Channel, Hub
from hub.sync.freshness import digest, is_older, look_again, newer, of_one_time
from hub.sync.ingest.deletions import follow_strangers, take_gone, take_merge
from hub.sync.ingest.identity import Fresh, Identities, identify, recall_ours
from hub.sync.ingest.merge_order import Sorted, ask_for_survivors, sort_merges, with_told_merges
from hub.sync.ingest.oscillation import stop_fights
from hub.sync.ingest.references import with_parents
from hub.sync.locking import hold
from hub.sync.merge.merging import tell_children
from hub.sync.merge.primary import come_back, further
from hub.sync.surprises import note_touched
from mappings.canonical.values import Values
from mappings.kit.errors import LensError


@dataclass(frozen=True, slots=True)
class Written:
    """What we have just written to a record, so that its read-back is not taken for news."""

    golden_id: str
    values: Values = field(repr=False)
    #: False: found by a probe, so that a person may have edited it since we wrote.
    certain: bool = True


def take_in(
    hub: Hub,
    tx: Transaction,
    channel: Channel,
    *,
    page: Page,
    tally: Tally,
    written: Mapping[str, Written] | None = None,
    own_wishes: bool = True,
    fetched: bool = True,
) -> None:
    """Takes a page in. With `own_wishes` off, the channel's connection is not told what it lacks:
    the caller is about to compute just that. `fetched` off: the page may be older than what is
    known, so that it alone does not bring a deleted record back.
    """
    intake = _Intake(hub, tx, channel, tally, written or {}, own_wishes, fetched)
    intake.take(page)


class _Intake:
    def __init__(
        self,
        hub: Hub,
        tx: Transaction,
        channel: Channel,
        tally: Tally,
        written: Mapping[str, Written],
        own_wishes: bool,
        fetched: bool,
    ) -> None:
        self.hub, self.tx, self.channel, self.tally = hub, tx, channel, tally
        self.written, self.own_wishes, self.fetched = dict(written), own_wishes, fetched
        self.mapping, self.entity = channel.mapping, channel.entity
        self.policy = hub.policy(self.entity.name)
        self.now = hub.clock()
        self.then = Consequences(hub, tally.id, self.now)
        #: Key -> values of writes that were sent and not heard of since.
        self.unheard: dict[str, Values] = {}
        #: The links of the page's records, by key.
        self.links: Mapping[str, Link] = {}
        #: Golden records that had a record here which is gone.
        self.gone_before: set[str] = set()
        #: Asked once a page: mostly nothing is set aside, and much need not be looked up.
        self.pending = quarantine.pending(tx, channel.connection)

    def take(self, page: Page) -> None:
        merges = Sorted()
        if self.pending.merges and page.records:
            page = with_told_merges(self.tx, self.channel, page)
        if page.merges:
            merges = sort_merges(self.tx, self.channel, page, fetched=self.fetched)
            self._take_merges(merges.now)
            self._ask_for_survivors(merges.asked)
        if page.gone:
            self.tally.seen += len(page.gone)
            take_gone(self.tx, self.channel, page.gone, then=self.then, tally=self.tally)
            self._store()
        if page.records:
            self.tally.seen += len(page.records)
            self._take_records(page.records)
            self._store()
        self._take_merges(merges.later)
        if page.merges:  # only now is a survivor of this very page known
            follow_strangers(self.tx, self.channel, page, now=self.now)
        if self.tally.kind != "push":  # what the hub itself has written or deleted is no surprise
            note_touched(self.hub, self.tx, self.tally)

    def _take_merges(self, merges: Iterable[Merge]) -> None:
        for merge in merges:
            self.tally.seen += 1
            take_merge(self.tx, self.channel, merge, then=self.then, tally=self.tally)
            self._store()

    def _ask_for_survivors(self, merges: Sequence[Merge]) -> None:
        if merges:
            self.tally.seen += len(merges)
            self.tally.skip("what it was merged into is read first", len(merges))
            ask_for_survivors(self.tx, self.channel, merges, now=self.now)

    def _store(self) -> None:
        stop_fights(self.hub, self.tx, self.then)
        self.then.store(self.tx)
        self.then = Consequences(self.hub, self.tally.id, self.now)

    def _take_records(self, found: Sequence[Record]) -> None:
        latest: dict[str, Record] = {}
        for record in found:
            latest[record.key] = newer(latest.get(record.key), record)
        self.tally.same += len(found) - len(latest)  # the same key twice in one page
        connection, stream = self.channel.connection, self.channel.stream
        known = link_digests(self.tx, connection, stream, list(latest))
        read = self._translate(self._news(latest.values(), known))
        fresh = with_parents(self.tx, self.channel, read, tally=self.tally, now=self.now)
        if not fresh:
            return
        met = [f.record.key for f in fresh if f.record.key in known]
        links = links_by_key(self.tx, connection, stream, met)
        links |= self._linked_meanwhile([f.record.key for f in fresh if f.record.key not in links])
        linked, unlinked = self._parted(fresh, links)
        identities, golden = self._hold(linked, unlinked, links)
        self._hear(linked, links)
        self.links = links
        stored = [link.id for link in links.values() if link.id is not None]
        conflicts = open_paths(self.tx, stored) if stored else {}
        for one in linked:
            link = links[one.record.key]
            self._observe(one, link, golden[str(link.golden_id)], conflicts.get(link.id or 0))
        for one in unlinked:
            self._meet(one, links.get(one.record.key), identities, golden)

    def _linked_meanwhile(self, strangers: Sequence[str]) -> dict[str, Link]:
        """Another worker may be linking the same records: waits for it, and looks again."""
        if not strangers or self.hub.store.embedded:  # there only one transaction writes
            return {}
        lock_identities(self.tx, self.entity.name)
        connection, stream = self.channel.connection, self.channel.stream
        return links_by_key(self.tx, connection, stream, strangers)

    def _parted(
        self, fresh: Iterable[Fresh], links: Mapping[str, Link]
    ) -> tuple[list[Fresh], list[Fresh]]:
        """Parts known records from strangers. A stranger that may be gone must not hold a place."""
        linked, unlinked = [], []
        for one in fresh:
            link = links.get(one.record.key)
            if link is not None and link.golden_id is not None:
                linked.append(one)
            elif link is not None and self._may_be_gone(link):
                self._look_again(link, one.record)
            else:
                unlinked.append(one)
        return linked, unlinked

    def _news(
        self, found: Iterable[Record], known: Mapping[str, bytes | None]
    ) -> list[tuple[Record, bytes]]:
        fingerprint = self.mapping.fingerprint
        # A conflict may be over because of what happened elsewhere: look at its record anyway.
        unsettled = set(self.written)
        connection, stream = self.channel.connection, self.channel.stream
        if self.pending.conflicts:
            unsettled |= contested(self.tx, connection, stream)
        if self.pending.letters:
            # One that was set aside may show again what it showed before.
            unsettled |= quarantine.quarantined_keys(
                self.tx, "pull", connection, stream=stream, keys=known
            )
        news = []
        for record in found:
            mark = digest(record.payload, fingerprint)
            if known.get(record.key) == mark and record.key not in unsettled:
                self.tally.same += 1
            else:
                news.append((record, mark))
        return news

    def _translate(self, news: Sequence[tuple[Record, bytes]]) -> list[Fresh]:
        fresh = []
        for record, mark in news:
            try:
                fresh.append(Fresh(record, self.mapping.read(record.payload), mark))
            except LensError as error:
                self._bury(record, str(error))
        return fresh

    def _bury(self, record: Record, reason: str) -> None:
        self.tally.buried += 1
        place = (self.channel.connection, self.channel.stream)
        letter = QuarantineEntry("pull", *place, record.key, "buried", reason, "LensError")
        quarantine.put(self.tx, [letter], now=self.now, due_at=self.now)
        looks = certain_prints(self.entity, self.mapping.legible(record.payload))
        aside.remember(self.tx, *place, {record.key: looks})

    def _identify(self, unlinked: Sequence[Fresh]) -> Identities:
        found = Identities()
        keys = [one.record.key for one in unlinked]
        ours = {key: self.written[key].golden_id for key in keys if key in self.written}
        strangers = [one for one in unlinked if one.record.key not in ours]
        if strangers:
            found = identify(self.tx, self.channel, strangers, reviewed=self.pending.reviews)
            self._recall(found)
        if ours:
            recall_ours(self.tx, self.channel, ours, found)
        if found.known:
            ids = list(found.known.values())
            connection, stream = self.channel.connection, self.channel.stream
            self.gone_before = gone_here(self.tx, connection, stream, ids)
        return found

    def _recall(self, found: Identities) -> None:
        """A record we created and have not heard of since: what we sent is known."""
        # Where no hub id can be kept, it may also be somebody else's: only what looks like our
        # own words, as that system writes them, is not news then.
        nameless = self.channel.facts.once is None
        keys = found.known if nameless else found.created
        made = {key: found.made.get(key, found.known[key]) for key in keys}
        if not made:
            return
        sent = unheard.creates_of(self.tx, self.channel.connection, set(made.values()))
        for key, golden_id in made.items():
            if golden_id not in sent:
                continue
            if nameless:
                self.unheard[key] = sent[golden_id]
            else:
                self.written[key] = Written(golden_id, sent[golden_id], certain=False)

    def _hear(self, linked: Sequence[Fresh], links: Mapping[str, Link]) -> None:
        """Updates whose answer was lost: what we sent is known, and is not news."""
        current = [
            links[o.record.key] for o in linked if not is_older(o.record, links[o.record.key])
        ]
        keys = {str(link.golden_id): link.key for link in current if link.spare == 0}
        if not keys:
            return
        connection = self.channel.connection
        sent = unheard.updates(self.tx, connection, keys)
        if sent:
            unheard.heard_of(self.tx, connection, sent)
            self.unheard |= {keys[golden_id]: values for golden_id, values in sent.items()}

    def _hold(
        self, linked: Sequence[Fresh], unlinked: Sequence[Fresh], links: dict[str, Link]
    ) -> tuple[Identities, dict[str, Golden]]:
        """Says who the strangers are, and locks all golden records; `links` become what they are.

        One of them may have been merged while we waited for its lock: then we look again.
        """
        connection, stream = self.channel.connection, self.channel.stream
        keys = [f.record.key for f in linked]
        while True:
            identities = self._identify(unlinked)
            ids = identities.known.values()
            known = {key: links[key] for key in keys}
            held, golden = hold(self.tx, connection, stream, keys, known=known, also=ids)
            if not any(golden[i].merged_into for i in ids if i in golden):
                links.update(held)
                return identities, golden

    def _meet(
        self, one: Fresh, link: Link | None, identities: Identities, golden: Mapping[str, Golden]
    ) -> None:
        """A record without a link: it joins a golden record, starts one, or a person decides."""
        key = one.record.key
        joined = golden.get(identities.known.get(key, ""))
        if key in identities.unclear:
            self._ask(one, identities)
            return
        if joined is None and not self._adopts():
            self.tally.skip("not taken in from here")
            return
        fresh_link = link or Link(self.channel.connection, self.channel.stream, key, None)
        if joined is not None:
            fresh_link.golden_id = joined.id
            if key in identities.spare:
                fresh_link.spare = fresh_link.id or further(key)
            elif joined.id in self.gone_before:
                place = (self.channel.connection, self.channel.stream)
                vacate_primary(self.tx, *place, joined.id)
            self._observe(one, fresh_link, joined, None, created=key in identities.created)
        else:
            self._start(one, fresh_link)
        self._welcome(key)

    def _adopts(self) -> bool:
        allowed = self.policy.adopt
        return self.mapping.adopt and (allowed is None or self.channel.connection in allowed)

    def _start(self, one: Fresh, link: Link) -> None:
        golden = new_golden(
            self.hub,
            self.entity.name,
            one.values,
            origin=link.connection,
            run=self.tally.id,
            now=self.now,
        )
        link.golden_id = golden.id
        link.state = LinkState(dict(golden.values))
        self._note(link, one)
        self.then.born(golden, one.prints)
        self.tally.changed += 1

    def _ask(self, one: Fresh, identities: Identities) -> None:
        unclear = identities.unclear[one.record.key]
        self.tally.skip("under review")
        looks = [one_print.value for one_print in one.prints if one_print.strong]
        place = (self.channel.connection, self.channel.stream)
        aside.remember(self.tx, *place, {one.record.key: looks})
        ask_review(
            self.tx,
            [
                {
                    "connection": self.channel.connection,
                    "stream": self.channel.stream,
                    "key": one.record.key,
                    "entity": self.entity.name,
                    "title": self.mapping.describe(one.values),
                    "candidates": list(unclear.ids),
                    "reason": unclear.reason,
                }
            ],
            now=self.now,
        )

    def _welcome(self, key: str) -> None:
        """A record that has a link now is no longer set aside or under review."""
        connection, stream = self.channel.connection, self.channel.stream
        if self.pending.letters:
            quarantine.resolve(self.tx, "pull", connection, stream=stream, keys=[key])
            quarantine.resume_waiting(self.tx, [derived_id(connection, stream, key)], now=self.now)
        if self.pending.reviews:
            drop_reviews(self.tx, connection, stream, [key])
        if self.pending.letters or self.pending.reviews:
            aside.forget(self.tx, connection, stream, [key])

    # --- observing ------------------------------------------------------------------------------

    def _observe(
        self,
        one: Fresh,
        link: Link,
        golden: Golden,
        conflicts: frozenset[str] | None,
        *,
        created: bool = False,
    ) -> None:
        record = one.record
        if is_older(record, link):
            self.tally.skip("older than what is known")
            return
        if golden.deleted_at is not None and link.gone_at is None and link.id is not None:
            self._too_late(one, link, golden)
            return
        if self._may_be_gone(link):
            self._look_again(link, record)
            return
        if not self.fetched and of_one_time(record, link):
            self._look_again(link, record, "no newer by its time than what is known")
            return
        ours = self.written.get(record.key)
        if ours is not None:
            link.state = settle(link.state, ours.values, one.values, certain=ours.certain)
        elif record.key in self.unheard:
            link.state = settle_unheard(link.state, self.unheard[record.key], one.values)
        ground = Ground(
            golden.values,
            link.state,
            self.policy,
            self.entity.states,
            conflicts or frozenset(),
            lambda path: changed_at(golden, path),
        )
        sighting = Sighting(
            link.connection, record.modified_at, first=link.id is None, created=created
        )
        seen = observe(ground, one.values, sighting)
        self._apply(seen, one, link=link, golden=golden)
        if link.id is not None:
            self._welcome(record.key)

    def _too_late(self, one: Fresh, link: Link, golden: Golden) -> None:
        """It will be deleted here as elsewhere; what somebody typed meanwhile stays in history."""
        self.tally.skip("deleted")
        why = f"deleted in another system; policy delete: {self.policy.delete}"
        typed = {p: v for p, v in one.values.items() if v != link.state.seen_at(p)}
        changes = [Change(p, v, None, "superseded", why) for p, v in typed.items() if v is not None]
        self.then.history(golden.id, changes, connection=link.connection)
        for path, value in typed.items():
            agreed, shown = link.state.agreed_at(path), link.state.shown_at(path)
            link.state.put(path, seen=value, agreed=agreed, shown=shown)
        self._note(link, one)
        if self.own_wishes:
            self.then.wish(link.connection, golden)

    def _look_again(
        self, link: Link, record: Record, reason: str = "gone when last looked at"
    ) -> None:
        """Whether this is so still, or the page is old news, only a fetch can tell."""
        self.tally.skip(reason)
        nudge = look_again(link.connection, link.stream, link.key, version=record.version)
        inbox.receive(self.tx, [nudge], now=self.now)

    def _may_be_gone(self, link: Link) -> bool:
        """Says whether a page may have been read before the record was deleted over there.

        Its times do not tell: it may have been changed, and deleted, since it was last seen.
        """
        return not self.fetched and link.gone_at is not None

    def _apply(self, seen: Observation, one: Fresh, *, link: Link, golden: Golden) -> None:
        back_again = link.gone_at is not None
        if back_again and link.spare:
            come_back(self.tx, link, self.links)
        link.state = seen.link
        if seen.golden or (back_again and golden.deleted_at is not None):
            golden.deleted_at = None
            self.then.set_values(
                golden, seen.golden, origin=link.connection, at=one.record.modified_at
            )
            if link.id is not None:
                self.tally.touch(link.key)
        if back_again or (link.id is None and golden.id in self.gone_before):
            tell_children(self.tx, golden.id, [link.connection], then=self.then)
        link.state = agree(golden.values, link.state)
        self._note(link, one)
        if seen.news or back_again or link.id is None:
            self.tally.changed += 1
        else:
            self.tally.same += 1
        self.then.history(golden.id, seen.changes, connection=link.connection)
        self.then.clashes(link, seen.clashes)
        self.then.settled(link, seen.settled)
        self._wish_for_rest(link, golden, {c.path for c in seen.clashes})

    def _note(self, link: Link, one: Fresh) -> None:
        link.version, link.digest = one.record.version, one.digest
        link.modified_at, link.gone_at = one.record.modified_at, None
        if link.id is None:
            self.then.linked(link)
        else:
            self.then.link_changed(link)

    def _wish_for_rest(self, link: Link, golden: Golden, conflicts: set[str]) -> None:
        """Whatever this record still lacks is wanted there."""
        if link.spare:
            return  # it is not written to; what its words mean for the one that is was wished for
        if not self.own_wishes:
            self.then.unwish(link.connection, golden.id)
            return
        lacking = wanted(
            golden.values,
            link.state,
            self.policy,
            writable=self.mapping.writable,
            conflicts=frozenset(conflicts),
        )
        states = self.entity.states
        acts: tuple[str, ...] = ()
        if states is not None:
            goal, shown = golden.values.get(states.path), link.state.seen.get(states.path)
            acts = route_actions(states, shown, goal, self.mapping.acts)
        if lacking or acts:
            self.then.wish(link.connection, golden)
        else:
            self.then.unwish(link.connection, golden.id)

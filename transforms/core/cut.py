"""One firing of a shard: final observations become complete sessions, and these sequences.

`cut` is the whole of it, without a runner: what waits, what is held of the users, and a time up
to which observations are final come in; sequences, tombstones, counts and what waits on come out.
"""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.spec import Spec
from transforms.core.arrays import Ints, ints, is_first, place_in_run, sums_before
from transforms.core.contents import contents_schema
from transforms.core.emission import Completed, Past, Recall, emitted
from transforms.core.engagements import Engaged, Observed, engaged
from transforms.core.entries import Entries, folded, in_one, superseded_at
from transforms.core.features import is_set, new_entries
from transforms.core.history import Held
from transforms.core.ledger import Standing, rewritten
from transforms.core.opening import Opened, opened
from transforms.core.raw import raw_tokens
from transforms.core.waiting import left_over


@dataclass(frozen=True, slots=True)
class Cut:
    """What a firing gives.

    `sequences` reads the archive while it is consumed, so it comes before the new `contents` are
    appended there and the slots `gone`, of lives that ended, are forgotten; it returns the pauses
    of the tally.
    """

    sequences: Generator[pa.RecordBatch, None, Ints]
    tombstones: pa.Table
    waiting: pa.Table
    ledger: pa.Table
    contents: pa.Table
    gone: Ints
    next_slot: int
    tally: "Tally"


@dataclass(frozen=True, slots=True)
class Tally:
    """What a firing did, for the statistics: the observations, groups, completed sessions, the
    entries kept of this firing's observations, and all entries; the drawn sessions with what they
    hold and, once the sequences are consumed, the pause before each (ms, -1: no content before it
    is held)."""

    opened: Opened
    engaged: Engaged
    completed: Completed
    kept: Entries
    entries: Entries
    drawn: Completed
    held: Held
    pause: Ints


def cut(
    table: pa.Table, final: int, ledger: pa.Table, next_slot: int, spec: Spec, recall: Recall
) -> Cut:
    """Cuts the complete sessions out of observations that are all final, up to time `final`."""
    begin = opened(table, ledger, spec)
    seen, standing = begin.seen, begin.standing
    found = engaged(seen, spec, final)
    raw_at_group, raw_used = raw_tokens(seen, found, spec)

    kept = _entries(seen, found, standing, spec)
    entries = in_one([standing.entries, kept])
    until = superseded_at(entries, is_set(spec))

    lives = np.arange(seen.lives)
    slot = np.where(standing.slot >= 0, standing.slot, next_slot + lives)
    contents = _contents(seen, found, standing, slot, spec)
    past = Past(
        entries, until, slot, standing.contents, found.groups.life[found.complete], contents
    )
    completed = _completed(begin, found, raw_at_group)
    drawn, holding, sequences = emitted(completed, past, spec, recall)

    after = _standing(seen, found, standing, slot, raw_used, entries, until, spec)
    last = lives[begin.is_last]
    held_slots = ints(ledger["slot"])[begin.known]
    return Cut(
        sequences,
        begin.tombstones,
        left_over(seen, found, spec),
        rewritten(ledger, begin.known, begin.users.take(last), after.take(last)),
        contents.filter(pa.array(np.isin(ints(contents["slot"]), slot[last]))),
        np.setdiff1d(held_slots, slot[last]),
        next_slot + len(lives),
        Tally(begin, found, completed, kept, entries, drawn, holding, np.empty(0, np.int64)),
    )


def _entries(seen: Observed, found: Engaged, standing: Standing, spec: Spec) -> Entries:
    """The entries kept of the observations before the cut."""
    leads = np.zeros(len(seen.life), np.int64)
    leads[found.groups.row] = 1
    before = sums_before(leads)
    at = standing.contents[seen.life] + before[seen.moment] - before[seen.opening[seen.life]]
    return new_entries(seen, spec, found.features_used(seen), at, standing.entries)


def _contents(
    seen: Observed, found: Engaged, standing: Standing, slot: Ints, spec: Spec
) -> pa.Table:
    """The contents of the complete sessions."""
    groups, which = found.groups, np.flatnonzero(found.complete)
    life = groups.life[which]
    ordinal = standing.contents[life] + place_in_run(is_first(life))
    numbers = (slot[life], ordinal, groups.item[which], groups.actions[which], groups.time[which])
    rows = seen.rows.take(groups.row[which])
    categories = [rows[f"category:{name}"] for name in spec.categories]
    return pa.table([*map(pa.array, numbers), *categories], schema=contents_schema(spec))


def _completed(begin: Opened, found: Engaged, raw_at_group: Ints) -> Completed:
    groups, standing = found.groups, begin.standing
    which = np.flatnonzero(found.sessions.complete)
    first, last = found.sessions.first[which], found.sessions.last[which]
    life = groups.life[first]
    row = groups.row[first]
    return Completed(
        life,
        standing.contents[life] + place_in_run(is_first(groups.life))[last] + 1,
        begin.users.take(life),
        ints(begin.seen.rows["source"])[row],
        begin.seen.rows.take(row)["event_id"],
        groups.time[first],
        groups.time[last],
        last - first + 1,
        standing.raw[life] + raw_at_group[last],
    )


def _standing(
    seen: Observed,
    found: Engaged,
    before: Standing,
    slot: Ints,
    raw_used: Ints,
    entries: Entries,
    until: Ints,
    spec: Spec,
) -> Standing:
    """What is held of each life after this firing."""
    new = np.bincount(found.groups.life[found.complete], minlength=seen.lives)
    contents = before.contents + new
    oldest = np.maximum(contents + 1 - spec.history.contents, 0)
    last = np.copy(before.last)
    used = found.features_used(seen)
    last[seen.life[used]] = seen.time[used]  # of each life the latest, which comes last
    return Standing(slot, contents, before.raw + raw_used, last, folded(entries, until, oldest))

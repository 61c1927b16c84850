"""S5, S6: the feature observations of a shard, and the entries that are kept of them."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.observations import SET_PARTS
from schemas.sequences import FIRST_FEATURE
from schemas.spec import Spec
from transforms.core.arrays import Bools, Ints, ints, valid
from transforms.core.engagements import Observed
from transforms.core.entries import Entries, in_one, no_entries
from transforms.core.rows import Rows
from transforms.core.runs import first_of_runs
from transforms.core.sets import Change, Members, changes_by_delta, changes_by_snapshot


@dataclass(frozen=True, slots=True)
class _Kept:
    """Kept observations of one feature: the row, the id, and whether a member is forgotten."""

    row: Ints
    id: Ints
    forgotten: Bools


def is_set(spec: Spec) -> Bools:
    """[token types] True for the types of set features."""
    kinds = [feature.kind == "set" for feature in spec.features.values()]
    return np.array([False] * FIRST_FEATURE + kinds)


def observed_values(rows: Rows, spec: Spec, name: str) -> Ints:
    """[n] what each row's observation of a feature is in raw tokens: 1 for a scalar, 1 for each
    value that a set observation names."""
    if spec.features[name].kind == "scalar":
        return valid(rows[f"scalar:{name}"]).astype(np.int64)
    named: Ints = np.add.reduce([_lengths(rows[f"{part}:{name}"]) for part in SET_PARTS])
    return named


def _lengths(lists: pa.Array) -> Ints:
    if lists.null_count == len(lists):
        return np.zeros(len(lists), np.int64)
    return ints(pc.list_value_length(lists))


def new_entries(seen: Observed, spec: Spec, now: Bools, at: Ints, before: Entries) -> Entries:
    """The entries kept of the rows where `now` is True, given what was in effect `before` them.

    `at` [n] is the number of the life's contents at earlier times than the row.
    """
    parts = []
    for kind, (name, feature) in enumerate(spec.features.items(), FIRST_FEATURE):
        held = before.take(np.abs(before.kind) == kind)
        if feature.kind == "scalar":
            kept = _scalar_entries(seen, seen.rows[f"scalar:{name}"], now, held)
        else:
            kept = _set_entries(seen, name, now, held, feature.max_members)
        parts.append((kind, kept))
    return _in_s2_order(seen, at, parts)


def _scalar_entries(seen: Observed, column: pa.Array, now: Bools, held: Entries) -> _Kept:
    row = np.flatnonzero(valid(column) & now)
    value = ints(column)[row]
    holds, has = np.zeros(len(seen.opening), np.int64), np.zeros(len(seen.opening), bool)
    holds[held.life], has[held.life] = held.id, True  # the last one of a life stays
    keep = first_of_runs(seen.life[row], value, has, holds)
    return _Kept(row[keep], value[keep], np.zeros(int(keep.sum()), bool))


def _set_entries(seen: Observed, name: str, now: Bools, held: Entries, at_most: int) -> _Kept:
    columns = [seen.rows[f"{part}:{name}"] for part in SET_PARTS]
    row = np.flatnonzero(np.logical_or.reduce([valid(column) for column in columns]) & now)
    members = _members(held.take(np.isin(held.life, seen.life[row])))
    rows, ids, forgotten = [], [], []
    lists = (column.take(row).to_pylist() for column in columns)
    for r, life, *parts in zip(row.tolist(), seen.life[row].tolist(), *lists, strict=True):
        for member, gone in _changes(members[life], parts, at_most):
            rows.append(r)
            ids.append(member)
            forgotten.append(gone)
    return _Kept(np.array(rows, np.int64), np.array(ids, np.int64), np.array(forgotten, bool))


def _changes(members: Members, parts: list[list[int] | None], at_most: int) -> list[Change]:
    add, remove, snapshot = parts
    if snapshot is not None:
        return changes_by_snapshot(members, snapshot, at_most)
    return changes_by_delta(members, add or (), remove or (), at_most)


def _members(held: Entries) -> defaultdict[int, Members]:
    """The members of each life's set by its entries, the one added longest ago first."""
    members: defaultdict[int, Members] = defaultdict(dict)
    entries = zip(held.life.tolist(), held.id.tolist(), held.visible.tolist(), strict=True)
    for life, member, visible in entries:
        if visible and member > 0:
            members[life][member] = None
        else:
            members[life].pop(abs(member), None)
    return members


def _in_s2_order(seen: Observed, at: Ints, parts: list[tuple[int, _Kept]]) -> Entries:
    """All kept entries in S2 order: by time, place of the feature, then event_id and source."""
    every = [
        Entries(
            seen.life[kept.row],
            at[kept.row],
            np.where(kept.forgotten, -kind, kind),
            kept.id,
            seen.time[kept.row],
        )
        for kind, kept in parts
    ]
    if not every:
        return no_entries()
    # Within a feature they stand in S2 order already, and the features in that of the spec.
    merged = in_one(every)
    return merged.take(np.lexsort((merged.time, merged.life)))

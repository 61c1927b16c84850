"""Which observations of a shard are looked at, and which of them go on waiting (S3, S8)."""

import numpy as np
import pyarrow as pa

from schemas.observations import feature_columns
from schemas.spec import Spec
from transforms.core.arrays import NEVER, Bools, Ints, flags, ints
from transforms.core.engagements import Engaged, Observed


def due(rows: pa.Table, spec: Spec, final: int) -> Bools:
    """True for the final observations of users of whom something may be complete.

    A session can't be complete before its first observation is G old, or A old if an end mark or
    its size may have closed it; an erasure acts as soon as it is final.
    """
    time = ints(rows["time"])
    settled = time <= final
    if spec.session.max_contents is not None or spec.attribution == spec.session.gap:
        return settled
    user = ints(rows["user"].combine_chunks().dictionary_encode().indices)
    hasty = flags(rows["erase"]) | (flags(rows["end"]) & (time <= final - spec.attribution))
    old = (time <= final - spec.session.gap) | (hasty & settled)
    users = np.zeros(int(user.max(initial=-1)) + 1, bool)
    users[user[old]] = True
    return settled & users[user]


def may_complete(rows: pa.Table, spec: Spec) -> Ints:
    """The times that, once final, may make something complete: each is so long after a row."""
    time = ints(rows["time"])
    wait = spec.session.gap if spec.session.max_contents is None else spec.attribution
    erased, ended = time[flags(rows["erase"])], time[flags(rows["end"])]
    return np.concatenate([time + wait, erased, ended + spec.attribution])


def next_due(rows: pa.Table, spec: Spec) -> int:
    """The earliest time that, once final, may make something complete; NEVER if nothing waits."""
    return int(may_complete(rows, spec).min(initial=NEVER))


def left_over(seen: Observed, engaged: Engaged, spec: Spec) -> pa.Table:
    """The observations that wait on: those after the cut, without what is used up of them.

    At the time of the cut the features are used, and end marks are not. An engagement after the
    cut that joined a group before it stays as a record that was joined, for the raw tokens.
    """
    cut_time = engaged.cut_time[seen.life]
    after = ~engaged.records_used(seen)
    taken = np.append(engaged.complete, False)[engaged.groups.of_row]
    stub = after & (taken | flags(seen.rows["joined"]))
    waits = (after & seen.engages) | stub | flags(seen.rows["end"])
    at_cut = seen.time == cut_time
    stays = (seen.time > cut_time) | (at_cut & waits)
    table = _blank(seen.rows.filter(stays).table(), "item", taken[stays])
    table = _put(table, "joined", pa.array(stub[stays]))
    for field in feature_columns(spec):
        table = _blank(table, field.name, at_cut[stays])
    return table


def _blank(rows: pa.Table, name: str, where: Bools) -> pa.Table:
    if not where.any():
        return rows
    column = rows[name].combine_chunks()
    keep = np.where(where, -1, np.arange(len(where)))
    return _put(rows, name, column.take(pa.array(keep, mask=keep < 0)))


def _put(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    at = rows.schema.get_field_index(name)
    return rows.set_column(at, rows.schema.field(at), column)

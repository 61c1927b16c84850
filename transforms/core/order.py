"""S2, S3: the order of a user's records, and records that are copies of one another."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.core.arrays import Bools, Ints, flags, ints, is_first
from transforms.core.rows import Rows

_TIE_BREAKERS = ["erase", "event_id", "source", "content"]


def in_order(table: pa.Table) -> tuple[Rows, Ints]:
    """The records by user and, of each user, in S2 order, without copies; and the user's number.

    A record's feature observations precede its engagement, that its end mark, and erasures come
    last among those of one time: within one time records stand by event_id, then source, and the
    rules that follow take the kinds apart. Strings compare by their UTF-8 bytes.
    """
    user = ints(table["user"].combine_chunks().dictionary_encode().indices)
    time = ints(table["time"])
    order = np.lexsort((time, user))
    tied = _tied(user[order], time[order])
    if not tied.any():
        return Rows(table, order), user[order]
    order, copies = _break_ties(table, order, tied, user, time)
    order = order[~copies]
    return Rows(table, order), user[order]


def _tied(user: Ints, time: Ints) -> Bools:
    """True where a row shares its user and time with the row before or after."""
    first = is_first(user, time)
    alone: Bools = first & np.append(first[1:], True)
    return ~alone


def _break_ties(
    table: pa.Table, order: Ints, tied: Bools, user: Ints, time: Ints
) -> tuple[Ints, Bools]:
    """Orders the tied rows among themselves and marks the copies, of which the least stays."""
    places = np.flatnonzero(tied)
    those = order[places]
    keys = table.select(_TIE_BREAKERS).take(those)
    keys = keys.append_column("moment", pa.array(np.cumsum(is_first(user[those], time[those]))))
    by = [("moment", "ascending")] + [(name, "ascending") for name in _TIE_BREAKERS]
    ranks = np.asarray(pc.sort_indices(keys, sort_keys=by))
    order = order.copy()
    order[places] = those[ranks]
    copies = np.zeros(len(order), bool)
    copies[places] = _repeats(keys.take(ranks))
    return order, copies


def _repeats(keys: pa.Table) -> Bools:
    """True where a row has the moment, event_id and source of the row before: a copy (S3)."""
    same_id = np.zeros(keys.num_rows, bool)
    event_id = keys["event_id"].combine_chunks()
    same_id[1:] = np.asarray(pc.equal(event_id[1:], event_id[:-1]))
    same = ~is_first(ints(keys["moment"]), ints(keys["source"]), flags(keys["erase"]))
    return same & same_id

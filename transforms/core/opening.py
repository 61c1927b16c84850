"""How a firing begins: observations in order, erasures done, and what is held of each life."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from schemas.outputs import TOMBSTONES
from schemas.sequences import MS
from schemas.spec import Spec
from transforms.core.arrays import Bools, Ints, flags, ints, is_first
from transforms.core.engagements import Observed, observed
from transforms.core.ledger import UNSEEN, Standing, rows_of, standing_at
from transforms.core.lives import after_erasure, inherits, new_lives
from transforms.core.observing import observing
from transforms.core.order import in_order
from transforms.core.rows import Rows


@dataclass(frozen=True, slots=True)
class Opened:
    """Observations by life, with the user of each life and what is held of it so far.

    `known` are the ledger's rows of the users of this firing, also of those who were erased;
    `copies` [sources] counts the records left out as copies, `erased` the users erased by now.
    """

    seen: Observed
    users: pa.Array
    is_last: Bools
    standing: Standing
    known: Ints
    copies: Ints
    tombstones: pa.Table


def opened(table: pa.Table, ledger: pa.Table, spec: Spec) -> Opened:
    """Orders final observations and opens the lives that they belong to (S2, S3, S13, S15)."""
    given = _by_source(ints(table["source"]), spec)
    rows, user = in_order(table)
    copies = given - _by_source(ints(rows["source"]), spec)
    something = observing(rows)
    rows, user = rows.filter(something), user[something]
    names, user = rows["user"].take(np.flatnonzero(is_first(user))), _dense(user)
    known = rows_of(ledger, names)
    erase = flags(rows["erase"])
    held = known.copy()
    held[user[erase]] = -1
    alive = after_erasure(user, erase)
    seen, life_user, life_row = _lives(rows.filter(alive), user[alive], held, ledger, spec)
    return Opened(
        seen,
        names.take(life_user),
        np.append(is_first(life_user)[1:], True)[: len(life_user)],
        standing_at(ledger, life_row),
        known[known >= 0],
        copies,
        _tombstones(rows.filter(erase)),
    )


def _lives(
    rows: Rows, user: Ints, held: Ints, ledger: pa.Table, spec: Spec
) -> tuple[Observed, Ints, Ints]:
    """The observations by life; and the user of each life and its row in the ledger, -1 where
    nothing that is held continues in it."""
    time = ints(rows["time"])
    last = np.append(ints(ledger["last"]), UNSEEN)[held]
    begins = new_lives(user, time, last, spec.retention)
    life_user = user[begins]
    continues = np.zeros(len(life_user), bool)
    continues[is_first(life_user)] = inherits(user, time, last, spec.retention)
    life_row = np.where(continues, held[life_user], -1)
    return observed(rows, np.cumsum(begins) - 1), life_user, life_row


def _dense(user: Ints) -> Ints:
    return np.cumsum(is_first(user)) - 1


def _by_source(source: Ints, spec: Spec) -> Ints:
    return np.bincount(source, minlength=len(spec.sources))


def _tombstones(erasures: Rows) -> pa.Table:
    """One row for each user and time erased; `erasures` stand in S2 order."""
    time = erasures["time"].cast(pa.int64()).cast(MS)
    table = pa.table([erasures["user"], time], schema=TOMBSTONES)
    return table.group_by(["user_id", "time"], use_threads=False).aggregate([])

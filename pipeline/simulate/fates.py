"""What may become of a record on its way: nothing, late, twice, odd, or broken in some way."""

from dataclasses import dataclass
from typing import Final

import polars as pl

SOUND: Final = "sound"
FILTERED: Final = "filtered"  # of a kind that the spec's `where` leaves out
LATE: Final = "late"
COPY: Final = "copy"  # the same record once more
AMENDED: Final = "amended"  # once more under the same event id, with other content
ODD: Final = ("long_id", "unicode_id")
TYPED_DAMAGES: Final = ("null_user", "wrong_unit", "unknown_action")
"""Damages that a typed record can have as well as a text."""
TEXT_DAMAGES: Final = (
    "cut_short",
    "wrong_type",
    "missing_user",
    "nan_time",
    "invalid_utf8",
    "too_large",
)
"""Damages that only a text can have."""

FATES: Final = (SOUND, FILTERED, LATE, COPY, AMENDED, *ODD, *TYPED_DAMAGES, *TEXT_DAMAGES)
NUMBER: Final = {fate: number for number, fate in enumerate(FATES)}

USER, TIME, ARRIVAL, FATE = "_user", "_time", "_arrival", "_fate"
META: Final = (USER, TIME, ARRIVAL, FATE)
"""Columns beside a record's own: whose it is, its event time and arrival (ms), its fate."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A source's fields for the user and the time, and what may befall its records.

    `per_second` is how many of the time field's units are a second; None: it is an ISO 8601 text.
    """

    user: str
    time: str
    per_second: int | None
    item: bool
    action: bool
    faulty: bool = True

    def damages(self) -> tuple[str, ...]:
        """The ways in which a record of this source may be broken."""
        return tuple(
            damage
            for damage in (*TYPED_DAMAGES, *TEXT_DAMAGES)
            if self.action or damage != "unknown_action"
        )


SOURCES: Final = {
    "views": Shape("user_id", "ts", 1000, item=True, action=False),
    "reactions": Shape("uid", "at", None, item=True, action=True),
    "profile": Shape("user_id", "ts", 1, item=False, action=False),
    "sessions": Shape("user_id", "ts", 1000, item=False, action=False),
    "erasures": Shape("user_id", "ts", 1000, item=False, action=False, faulty=False),
}


def has_fate(*fates: str) -> pl.Expr:
    """Whether a record has one of these fates."""
    return pl.col(FATE).is_in([NUMBER[fate] for fate in fates])

"""What a simulated platform is like: every number that shapes its events."""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DAY = 86_400_000
START = 1_767_225_600_000  # 2026-01-01T00:00:00Z; fixed, so that the same seed gives the same bytes
SHARES = (
    "churn",
    "drift",
    "follows",
    "snapshots",
    "logouts",
    "bots",
    "late",
    "duplicates",
    "malformed",
    "odd",
    "erasures",
)


@dataclass(frozen=True, slots=True)
class Platform:
    """A platform with users, items and faults; times in ms, shares between 0 and 1.

    Runs for `days`, or, where `events` is given, until that many records have arrived.

    `users` have `sessions_a_day` on average (some far more than others), each of `contents` on
    average. `items` are there from the start, `new_items_a_day` join; popularity falls with the
    rank to the power of `zipf`.
    A session changes each slow feature (country, language) with the chance `churn`, follows or
    unfollows somebody with the chance `follows`, says whom the user follows by now with the chance
    `snapshots`, and ends in a LOGOUT with the chance `logouts`. `drift` of the users swap an
    interest in a day, `erasures` of them ask to be forgotten.
    `bots` of the users have `bot_rate` times the sessions, and pause a second between contents.
    Of the records, `late` arrive at least fifteen minutes late, `duplicates` arrive twice,
    `malformed` are broken, and `odd` are strange to look at but sound. `record_bytes` is the limit
    that a record broken by its size exceeds.

    Raises ValueError for a number out of its range.
    """

    seed: int = 0
    users: int = 1_000
    items: int = 5_000
    new_items_a_day: int = 100
    days: float = 1.0
    events: int | None = None
    start: int = START
    sessions_a_day: float = 2.0
    contents: float = 8.0
    zipf: float = 1.0
    churn: float = 0.02
    drift: float = 0.05
    follows: float = 0.05
    snapshots: float = 0.02
    logouts: float = 0.3
    bots: float = 0.005
    bot_rate: float = 10.0
    late: float = 0.005
    duplicates: float = 0.01
    malformed: float = 0.002
    odd: float = 0.0005
    erasures: float = 0.001
    record_bytes: int = 100_000

    def __post_init__(self) -> None:
        for name in SHARES:
            self._require(name, 0.0, 1.0)
        for name in ("users", "items", "contents", "record_bytes"):
            self._require(name, 1, 1e9)
        for name in ("seed", "new_items_a_day", "zipf", "bot_rate"):
            self._require(name, 0, 2**63)
        self._require("days", 1 / 86_400, 36_500)
        self._require("sessions_a_day", 0.001, 1_000)
        # Decoders accept times from 1990 up to 2200.
        self._require("start", 631_152_000_000, 7_258_118_400_000 - DAY)
        if self.events is not None:
            self._require("events", 1, 1e12)

    def _require(self, name: str, least: float, most: float) -> None:
        value = getattr(self, name)
        if not least <= value <= most:
            raise ValueError(f"{name} must be from {least:g} to {most:g}, not {value:g}")

    def settings(self) -> dict[str, int | float | None]:
        """Every number by its name, as JSON can hold it."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

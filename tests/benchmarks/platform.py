"""A small platform with a known rule, through the pipeline."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.clicks.walk import Walk
from tests.outcome import Row

WALK = Walk(engagements=2_000, users=40, items=80, seed=5)
CLICK = 1


@dataclass(frozen=True)
class Made:
    """The folder of the sequences, and their rows, times in ms."""

    folder: Path
    rows: list[Row]


def new_contents(row: Row) -> list[tuple[int, int, int, list[int], bool]]:
    """Time, id, actions and topics of each new content, and whether one stands before it."""
    kinds: Any = row["token_type"]
    contents = [at for at, kind in enumerate(kinds) if kind == 0]
    number: Any = row["new_contents"]
    times, ids, topics = (row[name] for name in ("token_time", "token_id", "category_topic"))
    return [
        (times[at], ids[at], ids[at + 1], topics[place], place > 0)
        for place, at in enumerate(contents)
        if place >= len(contents) - number
    ]

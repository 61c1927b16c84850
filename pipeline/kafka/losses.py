"""What a reader can't read any more: records that the cluster deleted before they were read."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pipeline.kafka.reading import Place, split_place
from schemas.outputs import REJECTED
from transforms.coders import Tagged, whole
from transforms.core.decode.reject import Reason
from transforms.core.statistics import Counts, Mark, as_table, unplaced
from transforms.measured import now
from transforms.measures import count


@dataclass(frozen=True)
class Lost:
    """Offsets of a partition from `first` to before `until`, which are gone. `end` is given where
    the whole log is another: it ends there, before `first`, and is read on from `until`."""

    place: Place
    first: int
    until: int
    end: int | None = None

    @property
    def count(self) -> int:
        """How many offsets are known to be gone; 1 where nobody can know."""
        return self.until - self.first if self.end is None else 1

    @property
    def detail(self) -> str:
        """What happened, for a person."""
        if self.end is None:
            last = self.until - 1
            return f"offsets {self.first} to {last} were deleted before they were read"
        return (
            f"the log ends at offset {self.end} and was read up to {self.first}: it was made anew "
            f"or cut; what was unread of the old one is lost, the new one is read from {self.until}"
        )


def tagged(losses: Sequence[Lost]) -> Iterator[Tagged]:
    """Losses as rows of `rejected` and `statistics`; counts them."""
    if not losses:
        return
    for lost in losses:
        source, _ = split_place(lost.place)
        count("rejected", 1, source, Reason.LOST)
        count("lost", lost.count, source)
    yield "rejected", whole(pa.Table.from_pylist([_row(lost) for lost in losses], schema=REJECTED))
    for lost in losses:
        yield "statistics", whole(as_table(_counts(lost), [_mark(lost)], now()))


def _row(lost: Lost) -> dict[str, object]:
    source, partition = split_place(lost.place)
    return {
        "source": source,
        "partition": partition,
        "offset": lost.first,
        "reason": Reason.LOST,
        "detail": lost.detail,
    }


def _counts(lost: Lost) -> Iterator[Counts]:
    source, _ = split_place(lost.place)
    one = np.zeros(1, np.int64)
    yield unplaced("rejected", one, np.ones(1), source=source, key=Reason.LOST)
    yield unplaced("lost", one, np.array([lost.count]), source=source)


def _mark(lost: Lost) -> Mark:
    source, partition = split_place(lost.place)
    return Mark(f"{source}/{partition}", lost.first)

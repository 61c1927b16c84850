"""S3: the watermark of a job by the records that arrive, and records that come too late."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from schemas.observations import source_names
from schemas.outputs import LATE
from schemas.sequences import MS
from schemas.spec import Spec
from transforms.core.arrays import NEVER, Bools, Ints, ints
from transforms.core.decode.reject import LATE as REASON

BEFORE_ALL = -(1 << 62)


@dataclass
class Watermark:
    """The watermark of a job over its partitions, as records arrive, ms.

    That of a partition is the largest event time accepted from it; the job's is the least of its
    partitions', without those that have been silent for longer than `idle`, and never goes back.
    Silence is measured on the clock of arrivals, the largest of Kafka's timestamps so far, so that
    a log read again gives the same answer at any speed; it begins at the first arrival. What has
    no event time moves the clock alone. While all are silent, the largest counts.

    `released` is the time that a job before may have released by a shorter horizon than the
    present one: it stays so.
    """

    idle: int
    newest: dict[str, int] = field(default_factory=dict)
    heard: dict[str, int] = field(default_factory=dict)
    job: int = BEFORE_ALL
    clock: int = BEFORE_ALL
    released: int = BEFORE_ALL

    def add(self, partition: str, arrival: int) -> None:
        """A partition is read from now on; until something comes it holds the job back."""
        self.newest.setdefault(partition, BEFORE_ALL)
        self.heard.setdefault(partition, arrival)

    def before(self, partitions: Sequence[str], which: Ints, time: Ints, arrival: Ints) -> Ints:
        """[n] the job's watermark before each of n > 0 records, in the order of their arrival.

        Record i is of `partitions[which[i]]`, at event time `time[i]` (BEFORE_ALL: it has none),
        and arrived at `arrival[i]`.
        """
        self._begin(int(arrival[0]))
        least = np.full(len(which), NEVER)
        most = np.full(len(which), BEFORE_ALL)
        clock = np.maximum.accumulate(np.maximum(arrival, self.clock))
        for partition in self.newest:
            own = _own(partitions, which, partition) & (time > BEFORE_ALL)
            newest = _running(np.where(own, time, BEFORE_ALL), self.newest[partition])
            heard = _running(np.where(own, clock, BEFORE_ALL), self.heard[partition])
            silent = clock - heard > self.idle
            least = np.where(silent, least, np.minimum(least, newest))
            most = np.maximum(most, newest)
            self._heard(partition, own, time, clock)
        job = np.where(least == NEVER, most, least)
        running = np.maximum.accumulate(np.maximum(job, self.job))
        self.job, self.clock = int(running[-1]), int(clock[-1])
        return running

    def advance(self, arrival: int) -> int:
        """The job's watermark now that the clock of arrivals says `arrival`."""
        self._begin(arrival)
        self.clock = max(self.clock, arrival)
        active = [
            newest
            for partition, newest in self.newest.items()
            if self.clock - self.heard[partition] <= self.idle
        ]
        self.job = max(
            self.job, min(active) if active else max(self.newest.values(), default=self.job)
        )
        return self.job

    def _begin(self, arrival: int) -> None:
        """At the first arrival of all no partition has been silent yet."""
        if self.clock == BEFORE_ALL:
            self.heard = {place: max(heard, arrival) for place, heard in self.heard.items()}

    def _heard(self, partition: str, own: Bools, time: Ints, clock: Ints) -> None:
        if own.any():
            self.newest[partition] = max(self.newest[partition], int(time[own].max()))
            self.heard[partition] = max(self.heard[partition], int(clock[own][-1]))


def _own(partitions: Sequence[str], which: Ints, partition: str) -> Bools:
    if partition not in partitions:
        return np.zeros(len(which), bool)
    own: Bools = which == partitions.index(partition)
    return own


def _running(values: Ints, start: int) -> Ints:
    """[n] the largest value before each place, `start` included."""
    before = np.concatenate([[start], values])[:-1]
    return np.maximum.accumulate(before) if len(values) else values


def is_late(time: Ints, watermark: Ints | int, horizon: int, released: int = BEFORE_ALL) -> Bools:
    """True where the watermark had reached a record's time + L before the record arrived, or what
    had been `released` reached the time."""
    late: Bools = (time + horizon <= watermark) | (time <= released)
    return late


def late_rows(rows: pa.Table, spec: Spec) -> pa.Table:
    """Late observations (of `arrival_schema`) as rows of the late output."""
    names, n = source_names(spec), rows.num_rows
    detail = "its event time had been released: more than the horizon behind the watermark"
    columns = {
        "source": pa.array([names[source] for source in ints(rows["source"]).tolist()]),
        "partition": rows["partition"],
        "offset": rows["offset"],
        "raw": rows["raw"],
        "reason": pa.array([REASON] * n, pa.string()),
        "detail": pa.array([detail] * n, pa.string()),
        "event_time": rows["time"].cast(MS),
    }
    arrays = [columns.get(f.name, pa.nulls(n, f.type)) for f in LATE]
    return pa.table(arrays, schema=LATE)

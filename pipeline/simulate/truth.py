"""What was made, counted as it was made: the demo's table can be held against it."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.simulate.fates import (
    AMENDED,
    COPY,
    FATE,
    FATES,
    FILTERED,
    LATE,
    ODD,
    TEXT_DAMAGES,
    TIME,
    TYPED_DAMAGES,
)
from pipeline.simulate.platform import Platform
from pipeline.simulate.stream import Frames

NAME = "simulated.json"


@dataclass(slots=True)
class Truth:
    """Counts of records by source and fate; `left_out` are texts that Arrow files cannot hold.

    `first` and `last` are the least and greatest event time in ms, of any record; `tombstones` are
    erasures that went out as Kafka messages without a value.
    """

    platform: Platform
    fates: dict[str, Counter[str]] = field(default_factory=dict)
    left_out: Counter[str] = field(default_factory=Counter)
    tombstones: int = 0
    first: int | None = None
    last: int | None = None

    def count(self, frames: Frames) -> None:
        """Add the records of one slice."""
        for name, frame in frames.items():
            fates = self.fates.setdefault(name, Counter())
            for number, count in frame.group_by(FATE).len().sort(FATE).iter_rows():
                fates[FATES[number]] += count
            if frame.height:
                times = frame[TIME].to_numpy()
                self.first = min(int(times.min()), self.first or int(times.min()))
                self.last = max(int(times.max()), self.last or int(times.max()))

    def records(self) -> int:
        """Records of all sources and fates that were made."""
        return sum(fates.total() for fates in self.fates.values())

    def document(self) -> dict[str, Any]:
        """All counts as JSON can hold them; a kind that did not occur is left out."""
        return {
            "platform": self.platform.settings(),
            "records": {name: fates.total() for name, fates in self.fates.items()},
            "filtered": self._of(FILTERED).total(),
            "late": self._of(LATE).total(),
            "copies": self._of(COPY, AMENDED).total(),
            "amended": self._of(AMENDED).total(),
            "malformed": dict(self._of(*TYPED_DAMAGES, *TEXT_DAMAGES) - self.left_out),
            "odd": dict(self._of(*ODD)),
            "left_out": dict(self.left_out),
            "tombstones": self.tombstones,
            "first_time": self.first,
            "last_time": self.last,
            "fates": {name: dict(fates) for name, fates in self.fates.items()},
        }

    def write(self, path: Path) -> None:
        """Write the counts as JSON."""
        path.write_text(json.dumps(self.document(), indent=2) + "\n", encoding="utf-8")

    def _of(self, *fates: str) -> Counter[str]:
        total: Counter[str] = Counter()
        for counted in self.fates.values():
            total.update({fate: counted[fate] for fate in fates if counted[fate]})
        return total

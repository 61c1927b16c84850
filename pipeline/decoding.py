"""Decoding as the readers do it: plans made once, dictionary texts given once, records counted."""

from collections import deque
from collections.abc import Iterable, Iterator

import pyarrow as pa

from schemas.fetched import Fetched
from schemas.outputs import DICTIONARY
from schemas.spec import Spec
from transforms.coders import OBSERVATIONS, Tagged, whole
from transforms.core.counted_input import marks_of, of_decoded
from transforms.core.decode.decoded import Decoded, decoded
from transforms.core.decode.plan import Plan
from transforms.core.decode.record import Names
from transforms.core.statistics import Counts, as_table
from transforms.measured import now
from transforms.measures import Stopwatch, count, observe

_REMEMBERED = 1_000_000


class Decoding:
    """Decodes the batches of a spec's sources, in one worker."""

    def __init__(self, spec: Spec) -> None:
        self._plans = {name: Plan(spec, name) for name in spec.sources}
        self._given: set[tuple[str, int]] = set()
        self._took: deque[int] = deque()  # µs of batches that are decoded and not given yet

    def forget(self) -> None:
        """All texts count as not given: to be called where the bundle that gave the last ones may
        have failed, for then nobody has them."""
        self._given.clear()
        self._took.clear()

    def columns(self, source: str) -> set[str]:
        """The top-level fields that a source's records are looked at for."""
        return {keys[0] for keys in self._plans[source].fields.values()}

    def decode(self, fetched: Fetched) -> tuple[Decoded, Plan]:
        """One batch, decoded by the plan of its source."""
        plan = self._plans[fetched.source]
        with Stopwatch() as watch:
            batch = decoded(fetched, plan)
        self._took.append(watch.us)
        return batch, plan

    def tagged(
        self, of: tuple[Decoded, Plan], also: Iterable[Counts] = (), written: int | None = None
    ) -> Iterator[Tagged]:
        """What a decoded batch gives to each output, without what is empty; `also` counted of it,
        and all counts written at a time, µs: now."""
        batch, plan = of
        self._count(batch, plan)
        counts = [*of_decoded(batch, plan), *also]
        marks = marks_of(plan.name, batch.origin, batch.damaged)
        parts = (
            (OBSERVATIONS, batch.rows),
            ("rejected", batch.rejected),
            ("dictionary", self._new_names(batch.names)),
            ("statistics", as_table(counts, marks, written or now())),
        )
        for tag, rows in parts:
            if rows.num_rows:
                yield tag, whole(rows)

    def _new_names(self, names: Names) -> pa.Table:
        """The texts of hashed ids that this worker has not given yet, as far as it remembers."""
        if len(self._given) > _REMEMBERED:
            self._given.clear()
        new = [key for key in names if key not in self._given]
        self._given.update(new)
        kinds, ids = [kind for kind, _ in new], [number for _, number in new]
        return pa.table([kinds, ids, [names[key] for key in new]], schema=DICTIONARY)

    def _count(self, batch: Decoded, plan: Plan) -> None:
        observe("stage_us", self._took.popleft(), "decode")
        count("records", batch.rows.num_rows, plan.name)
        count("filtered", batch.filtered, plan.name)
        for reason, many in batch.reasons.items():
            count("rejected", many, plan.name, reason)

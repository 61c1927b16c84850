"""Bytes of state for a user and a token: every cell of a shard as the coders write it.

`python -m benchmarks.state_bytes` prints two tables: what a shard holds of users whose histories
have 1, 100 and 4,096 contents, with and without features and a category; and what waits.
"""

import json
from dataclasses import dataclass

import numpy as np

from benchmarks.measure import machine, table
from benchmarks.one_shard import AFTER, ByteBag, OneShard, observed
from benchmarks.workloads import Workload, spec_of
from schemas.layout import layout_of
from schemas.load import parse_spec
from schemas.spec import Spec
from transforms.core import shard
from transforms.core.arrays import ints
from transforms.core.growth import marked
from transforms.sequences import SHARDS

CONTENTS = 8
"""Contents of a session."""

USERS = {1: 2_000, 100: 2_000, 4_096: 100}
FIRINGS = 32
BATCH = 10_000


@dataclass(frozen=True)
class Held:
    """Bytes of a shard's ledger and archive, and what they are of."""

    users: int
    tokens: int
    ledger: int
    archive: int


def spec(mapped: bool) -> Spec:
    """The workloads' spec, sampled to almost nothing, with features and a category or without."""
    written = spec_of("arrow", sampling=1)
    if not mapped:
        written |= {"features": {}, "categories": []}
        for source in written["sources"].values():
            source.pop("categories", None)
            del source["features"]
    return parse_spec(json.dumps(written))


def held(history: int, mapped: bool) -> Held:
    """A shard after firings that took the whole histories of its users."""
    one = OneShard(spec(mapped))
    workload = Workload(min(CONTENTS, history), USERS[history], history, history)
    rows = observed(workload, one.spec)
    time = np.asarray(rows["time"])
    ends = np.linspace(time[0], time[-1] + AFTER, FIRINGS + 1)[1:].astype(np.int64)
    places = [0, *np.searchsorted(time, ends, side="right").tolist()]
    for start, stop, end in zip(places, places[1:], ends.tolist(), strict=False):
        one.fire(rows.slice(start, stop - start), end)
    (ledger,) = one.held.read()
    batch = marked(ledger, layout_of(one.spec, SHARDS))
    bag = ByteBag()
    bag.add(batch)
    entries = len(ledger["at"].flatten())
    tokens = 2 * int(ints(ledger["contents"]).sum()) + entries
    cells = one.recent.size + sum(cell.size for cell in one.cells)
    return Held(ledger.num_rows, tokens, bag.size, cells)


def waiting(mapped: bool, shards: int) -> tuple[float, float]:
    """Bytes of an observation that waits in a chunk of a batch; and those of its layout."""
    made = spec(mapped)
    rows = observed(Workload(CONTENTS, 2_000), made)[:BATCH]
    (chunk,) = rows.slice(0, BATCH // shards).combine_chunks().to_batches()
    plain, told = ByteBag(), ByteBag()
    plain.add(chunk)
    told.add(marked(chunk, layout_of(made, SHARDS)))
    return told.size / chunk.num_rows, (told.size - plain.size) / chunk.num_rows


def main() -> None:
    """Both tables."""
    print(machine(), "\n")
    rows = []
    for mapped in (False, True):
        for history in USERS:
            one = held(history, mapped)
            rows.append(
                [
                    f"{history:,}",
                    "2, 1" if mapped else "none",
                    f"{one.tokens / one.users:,.0f}",
                    f"{one.ledger / one.users:,.0f}",
                    f"{one.archive / one.users:,.0f}",
                    f"{(one.ledger + one.archive) / one.tokens:.1f}",
                ]
            )
    heads = ["contents", "features, categories", "tokens", "ledger, B a user"]
    print(table([*heads, "contents, B a user", "B a token"], rows))
    print()
    rows = [
        ["2, 1" if mapped else "none", f"{BATCH // shards}", *(f"{b:,.0f}" for b in found)]
        for mapped in (False, True)
        for shards in (SHARDS, 8)
        if (found := waiting(mapped, shards))
    ]
    print(table(["features, categories", "rows a chunk", "B a row", "of it layout"], rows))
    layout, nobody = layout_of(spec(True), SHARDS), ByteBag()
    nobody.add(marked(shard.Held().to_batch(), layout))
    print(f"\nA layout: {len(layout):,} B. A shard of nobody: {nobody.size:,} B.")


if __name__ == "__main__":
    main()

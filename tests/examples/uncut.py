"""Long histories of which nothing is cut off, in time that the oracle's own search would not take.

`python -m tests.examples.uncut deskdrop` holds every user of an example that was run as its README
has it against the oracle; it takes minutes.
"""

import sys
from pathlib import Path
from unittest.mock import patch

import polars as pl

from tests.examples.example import ROOT, Example, csv_records
from tests.oracles import oracle
from tests.oracles.compression import Entry, Group
from tests.oracles.history import Held
from tests.oracles.settings import Settings


def uncut(settings: Settings, groups: list[Group], entries: list[Entry]) -> Held:
    """S9 where nothing is cut off: of what comes before all contents, each scalar's last."""
    oldest = groups[0].first.place
    before = [one for one in entries if one.place < oldest]
    head = [*{one.place.feature: one for one in before}.values()]
    head.sort(key=lambda one: one.place)
    whole = Held(head, entries[len(before) :], groups)
    assert len(groups) <= settings.max_kept
    assert whole.tokens <= settings.max_tokens
    return whole


def every_difference(name: str) -> tuple[int, list[str]]:
    """The number of users of an example, and what differs from the oracle."""
    out = ROOT / "out" / name
    example = Example(name, out / "input", out / "sequences", "")
    sources = {file.stem: _records(file) for file in sorted(example.input.iterdir())}
    users = sorted(set(example.sequences["user_id"].to_pylist()))
    with patch.object(oracle, "held", uncut):
        return len(users), example.differences(users, sources)


def _records(file: Path) -> list[dict[str, object]]:
    return csv_records(file) if file.suffix == ".csv" else pl.read_parquet(file).to_dicts()


if __name__ == "__main__":
    count, differences = every_difference(sys.argv[1])
    sys.stdout.write(f"{count:,} users, {len(differences):,} differences\n")
    sys.exit("\n".join(differences[:20]) or 0)

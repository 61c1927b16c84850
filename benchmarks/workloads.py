"""Workloads: seeded events of two sources that one spec reads, made with numpy at once.

Views and likes of the same users: a like joins its view by attribution (about 1.25 events a
content). Both carry two scalar features that change rarely; a view has one category. Some records
are delivered twice. Records stand in the order of their times, as they would arrive.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]

START = 1_735_689_600_000
"""2025-01-01 in ms, when the first sessions begin."""

GAP, ATTRIBUTION, HORIZON = 1_800_000, 600_000, 600_000
LIKES = 0.25
COPIES = 0.005
CREATORS, COUNTRIES, DEVICES = 5_000, 40, 6
_DAY = 86_400_000


@dataclass(frozen=True, slots=True)
class Workload:
    """How many users do what: `contents` a session on average; each user's history ends at
    between `shortest` and `longest` contents, its logarithm evenly spread."""

    contents: int
    users: int
    shortest: int = 40
    longest: int = 400
    items: int = 200_000
    seed: int = 0


def sized(contents: int, events: int, shortest: int = 40, longest: int = 400) -> Workload:
    """A workload of about so many events."""
    spread = np.log(longest / shortest)
    history = (longest - shortest) / spread if spread else float(shortest)
    return Workload(contents, max(2, round(events / history / (1 + LIKES))), shortest, longest)


def spec_of(form: str, history: int = 4096, sampling: int | None = None) -> dict[str, Any]:
    """The spec that reads a workload in this format, "arrow" or "json", as plain values."""

    def source(action: str, **more: Any) -> dict[str, Any]:
        return {
            "format": form,
            "user": "user_id",
            "time": {"field": "ts", "unit": "ms"},
            "event_id": "event_id",
            "item": "item_id",
            "actions": {"always": [action]},
            "features": {"country": {"field": "country"}, "device": {"field": "device"}},
            **more,
        }

    views = source("VIEW", categories={"creator": "creator_id"})
    thinning = {} if sampling is None else {"sampling": {"tokens": sampling, "seed": 0}}
    return {
        "version": 1,
        "name": "benchmark",
        "sources": {"views": views, "likes": source("LIKE")},
        "actions": ["VIEW", "LIKE"],
        "positive": ["LIKE"],
        "features": {"country": "scalar", "device": "scalar"},
        "categories": ["creator"],
        "session": {"gap": f"{GAP}ms"},
        "horizon": f"{HORIZON}ms",
        "attribution": f"{ATTRIBUTION}ms",
        "history": {"contents": history},
        **thinning,
    }


def tables(workload: Workload) -> dict[str, pa.Table]:
    """The records of each source, in the order of their times."""
    random = np.random.default_rng(workload.seed)
    user, start, sizes, country, device = _sessions(workload, random)
    time, session = _times(start, sizes, random)
    n = len(time)
    item = _zipf(random, n, workload.items)
    number = np.arange(n)
    liked = np.flatnonzero(random.random(n) < LIKES)
    when = time[liked] + random.integers(1_000, 60_000, len(liked))
    of_user = user[session]

    def table(prefix: str, rows: Ints, times: Ints) -> pa.Table:
        whose = session[rows]
        columns = {
            "event_id": _texts(prefix, number[rows]),
            "user_id": _texts("user-", of_user[rows]),
            "ts": pa.array(times),
            "item_id": pa.array(item[rows]),
            "country": _texts("country-", country[whose]),
            "device": _texts("device-", device[whose]),
        }
        if prefix == "v":
            columns["creator_id"] = pa.array(item[rows] % CREATORS + 1)
        return _delivered(pa.table(columns), random)

    return {"views": table("v", number, time), "likes": table("l", liked, when)}


def _sessions(
    workload: Workload, random: np.random.Generator
) -> tuple[Ints, Ints, Ints, Ints, Ints]:
    """The sessions' users, starts, sizes in contents, countries and devices."""
    low, high = np.log(workload.shortest), np.log(workload.longest)
    history = np.exp(random.uniform(low, high, workload.users))
    count = np.maximum(np.rint(history / workload.contents), 1).astype(np.int64)
    user = np.repeat(np.arange(workload.users), count)
    sizes = 1 + random.poisson(workload.contents - 1, len(user))
    # Sessions of a user begin hours apart; a session takes minutes.
    apart = 3 * 3_600_000 + random.exponential(_DAY / 2, len(user)).astype(np.int64)
    since = np.cumsum(apart)
    first = np.cumsum(count) - count
    start = START + since - since[first][user] + random.integers(0, _DAY, workload.users)[user]
    country = _rarely(user, 0.01, COUNTRIES, random)
    return user, start, sizes, country, _rarely(user, 0.1, DEVICES, random)


def _rarely(user: Ints, often: float, values: int, random: np.random.Generator) -> Ints:
    """A value for each session that differs from the session before in so many of them."""
    changes = np.cumsum(random.random(len(user)) < often)
    value: Ints = (changes + user * 7) % values
    return value


def _times(start: Ints, sizes: Ints, random: np.random.Generator) -> tuple[Ints, Ints]:
    """The time of each content and the session that it is in."""
    session = np.repeat(np.arange(len(sizes)), sizes)
    step = 500 + np.minimum(random.exponential(20_000, len(session)), 300_000).astype(np.int64)
    since = np.cumsum(step)
    first = np.cumsum(sizes) - sizes
    return start[session] + since - since[first][session], session


def _zipf(random: np.random.Generator, n: int, items: int) -> Ints:
    """Items by popularity: the logarithm of the rank is evenly spread."""
    return np.exp(random.uniform(0, np.log(items), n)).astype(np.int64)


def _texts(prefix: str, numbers: Ints) -> pa.Array:
    return pc.binary_join_element_wise(prefix, pa.array(numbers).cast(pa.string()), "")


def _delivered(table: pa.Table, random: np.random.Generator) -> pa.Table:
    """The records by time, some of them twice."""
    n = table.num_rows
    twice = np.flatnonzero(random.random(n) < COPIES)
    rows = np.concatenate([np.arange(n), twice])
    return table.take(rows[np.argsort(np.asarray(table["ts"])[rows], kind="stable")])


def json_lines(table: pa.Table) -> list[bytes]:
    """Each record as one JSON text."""
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame.write_ndjson().encode().splitlines()


def write_files(workload: Workload, form: str, folder: Path, **spec: Any) -> int:
    """Writes the workload into folder/in and its spec to folder/spec.yaml; the number of events."""
    made = tables(workload)
    write_tables(made, form, folder / "in")
    (folder / "spec.yaml").write_text(json.dumps(spec_of(form, **spec)))
    return sum(table.num_rows for table in made.values())


def write_tables(records: Mapping[str, pa.Table], form: str, folder: Path) -> None:
    """Writes each source's records as one file."""
    folder.mkdir(parents=True, exist_ok=True)
    for source, table in records.items():
        if form == "arrow":
            with pa.ipc.new_file(folder / f"{source}.arrow", table.schema) as writer:
                writer.write_table(table.combine_chunks(), max_chunksize=65_536)
        else:
            (folder / f"{source}.jsonl").write_bytes(b"\n".join(json_lines(table)) + b"\n")

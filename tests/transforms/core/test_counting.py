"""docs/statistics.md: every measure is what a plain loop over the raw records counts."""

from collections.abc import Callable
from random import Random
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.ids import bucket_of
from tests.machine import Raw, decode, observations, spec_of
from tests.oracles import oracle
from tests.oracles.counting import counted
from tests.oracles.settings import settings_of
from tests.strategies import Case, cases
from tests.transforms.core.counting import differences, fired, sums_of
from transforms.core.counted_input import marks_of, of_decoded
from transforms.core.decode.plan import Plan
from transforms.core.statistics import as_table

RANDOMS = st.randoms(use_true_random=False)


def some(examples: int) -> Callable[[Any], Any]:
    """So many cases."""
    return settings(max_examples=examples, suppress_health_check=[*HealthCheck])


def counts(case: Case, random: Random | None = None, shards: int = 1, firings: int = 0) -> pa.Table:
    """The statistics of a case: its sources in batches, its users in shards, fired at times."""
    written, sources = case
    spec, tables, rows = spec_of(written), [], []
    for name, raws in sources.items():
        for part in _batches(list(raws), random):
            (decoded,) = decode(spec, {name: part})
            marks = marks_of(name, decoded.origin)
            tables.append(as_table(of_decoded(decoded, Plan(spec, name)), marks, 0))
            rows.append(decoded)
    every = observations(spec, rows)
    times = sorted(every["time"].to_pylist()) or [0]
    for shard in range(shards):
        users = every["user"].to_pylist()
        mine = pa.array([bucket_of(user, shards) == shard for user in users], pa.bool_())
        moments = [random.choice(times) + 500 for _ in range(firings)] if random else []
        tables.append(fired(spec, every.filter(mine), *sorted(moments), shard=shard))
    return pa.concat_tables(tables)


def _batches(raws: list[Raw], random: Random | None) -> list[list[Raw]]:
    if random is None or len(raws) < 2:
        return [raws]
    cut = random.randrange(len(raws))
    return [raws[:cut], raws[cut:]]


@some(150)
@given(cases())
def test_one_firing_counts_what_the_oracle_counts(case: Case) -> None:
    assert differences(counts(case), counted(*case)) == []


@some(40)
@given(cases(max_records=60))
def test_one_firing_of_longer_histories(case: Case) -> None:
    assert differences(counts(case), counted(*case)) == []


@some(100)
@given(cases(max_records=40), RANDOMS, st.integers(1, 3), st.integers(1, 6))
def test_batches_shards_and_firings_add_up_to_the_same(
    case: Case, random: Random, shards: int, firings: int
) -> None:
    """Without erasures, after which what was counted before is forgotten."""
    written, sources = case
    plain = {name: [] if name == "erasures" else raws for name, raws in sources.items()}
    found = counts((written, plain), random, shards, firings)
    assert differences(found, counted(written, plain)) == []


@some(60)
@given(cases(max_records=40), st.sampled_from([0.1, 0.2, 0.5, 1, 2, 5, 10]))
def test_another_gap_gives_the_sessions_that_the_curve_says(case: Case, gap: float) -> None:
    """For shorter gaps and longer ones, of users who close no session by hand."""
    written, sources = _open_ended(case)
    found = sums_of(counts((written, sources)))
    own = settings_of(written).gap / 1000
    says = sum(
        value if measure == "sessions" or (measure == "content_gap" and float(key or 0) > gap) else
        -value if measure == "session_gap" and own < float(key or 0) <= gap else 0
        for (measure, _, _, key, _), value in found.items()
    )  # fmt: skip
    other = {**written, "session": {"gap": f"{round(gap * 1000)}ms"}, "attribution": "0s"}
    assert says == len(oracle.sequences(other, sources).sequences)


@some(60)
@given(cases(max_records=40), st.sampled_from([1, 2, 3, 8, 16]))
def test_another_n_gives_the_contents_that_the_curve_says(case: Case, n: int) -> None:
    written, sources = _open_ended(case)
    found = sums_of(counts((written, sources)))
    says = sum(
        value if measure == "history_contents_sum" and float(key or 0) <= n else
        value * n if measure == "history_contents" and float(key or 0) > n else 0
        for (measure, _, _, key, _), value in found.items()
    )  # fmt: skip
    other = {**written, "history": {"contents": n, "tokens": 10_000}}
    assert says == sum(row["contents"] for row in oracle.sequences(other, sources).sequences)


def _open_ended(case: Case) -> Case:
    """The case without marks, sizes, sampling or limits that end or shorten anything."""
    written, sources = case
    left_out = ("sampling", "retention", "history")
    plain = {key: value for key, value in written.items() if key not in left_out}
    plain |= {"session": {"gap": written.get("session", {}).get("gap", "30m")}}
    plain |= {"attribution": "0s", "sources": {**written["sources"]}}
    for name, source in written["sources"].items():
        plain["sources"][name] = {key: value for key, value in source.items() if key != "end"}
    return plain, sources

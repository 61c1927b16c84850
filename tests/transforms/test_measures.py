"""Metrics by name, and what is recorded of them."""

import time
from collections.abc import Generator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.recorded import recorded
from transforms.measures import (
    INF,
    MEASURES,
    Stopwatch,
    count,
    named,
    observe,
    observe_all,
    parsed,
    show,
)

LABELS = {"source": ["views", "shop.views", "a:b", ""], "reader": ["0", "12"], "le": ["250", INF]}


@pytest.mark.parametrize("name", MEASURES)
def test_a_name_in_beam_tells_metric_end_and_labels(name: str) -> None:
    for end, labels in MEASURES[name].series.items():
        for n in range(4):
            values = tuple(
                LABELS.get(label, ["word"])[n % len(LABELS.get(label, "x"))] for label in labels
            )
            written = named(name, end, values)
            assert parsed(written) == (name, end, dict(zip(labels, values, strict=True)))


def test_a_name_that_is_no_metric_is_told() -> None:
    assert parsed("recordings:views") is None
    assert parsed("stage_us") is None  # a summary has no value of its own
    with pytest.raises(KeyError):
        count("nothing", 1)
    with pytest.raises(ValueError, match="metric rejected: takes the labels source, reason"):
        count("rejected", 1, "views")
    with pytest.raises(ValueError, match=r"metric sessions: takes the labels \(none\)"):
        count("sessions", 1, "views")


def test_counters_add_gauges_stay_and_summaries_are_a_sum_and_a_count() -> None:
    with recorded() as found:
        for n in (3, 4):
            count("late", n, "views", "why")
            show("consumer_lag", n, "views", "0")
            observe("stage_us", n, "decode")
        observe("shard_rows", 50, many=5)
    assert found == {
        "late:views:why": 7,
        "consumer_lag:views:0": 4,
        "stage_us_sum:decode": 7,
        "stage_us_count:decode": 2,
        "shard_rows_sum": 50,
        "shard_rows_count": 5,
    }


@given(st.lists(st.lists(st.integers(-1000, 400_000) | st.sampled_from([250, 500, 60_000]))))
def test_a_bucket_has_all_values_at_or_under_its_bound(batches: list[list[int]]) -> None:
    with recorded() as found:
        for batch in batches:
            observe_all("latency_ms", np.array(batch, np.int64))
    values = [max(value, 0) for batch in batches for value in batch]
    expected = {
        f"latency_ms_bucket:{bound}": sum(value <= bound for value in values)
        for bound in MEASURES["latency_ms"].bounds
    }
    expected |= {f"latency_ms_bucket:{INF}": len(values)}
    expected |= {"latency_ms_sum": sum(values), "latency_ms_count": len(values)}
    assert found == (expected if values else {})


def test_a_stopwatch_counts_the_making_of_items_and_not_their_use() -> None:
    def made() -> Generator[int, None, str]:
        for n in range(3):
            time.sleep(0.01)
            yield n
        return "end"

    def used() -> Generator[int, None, str]:
        return (yield from watch.items(made()))

    watch, taken, ended = Stopwatch(), [], None
    items = used()
    try:
        while True:
            taken.append(next(items))
            time.sleep(0.05)
    except StopIteration as end:
        ended = end.value
    assert (taken, ended) == ([0, 1, 2], "end")
    assert 30_000 <= watch.us < 100_000

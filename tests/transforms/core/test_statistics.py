"""Counts by hour: records, tokens before and after, sessions, sequences; and that they add up."""

from collections.abc import Mapping
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from schemas.outputs import STATISTICS
from schemas.spec import Spec
from tests.machine import as_texts, decode, observations, spec_of
from tests.oracles import shop
from tests.oracles.shop import T
from tests.outcome import Row
from tests.pipeline.running import drawn
from tests.strategies.crowds import crowd, crowd_parts
from tests.strategies.specs import specs
from tests.transforms.core.counting import fired, sums_of
from tests.transforms.streaming import arriving
from transforms.core.counted_input import of_decoded, of_late
from transforms.core.decode.plan import Plan
from transforms.core.statistics import DAY, HOUR, as_table, totals

Totals = Mapping[tuple[str, str | None, str | None, str | None], float]


def shop_rows(*records: Row) -> tuple[Spec, pa.Table]:
    spec = spec_of(shop.spec_of())
    return spec, observations(spec, decode(spec, {"e": list(records), "x": []}))


def by_measure(table: pa.Table) -> dict[tuple[str, str | None], float]:
    return {(measure, feature): n for (measure, _, feature, _), n in totals(table).items()}


def test_tokens_before_and_after_by_feature() -> None:
    spec, rows = shop_rows(
        shop.at(0, i=1, a="VIEW", land="de", add=[1, 2, 2]),
        shop.at(100, i=1, a="LIKE", land="de", add=[2], rem=[1]),
        shop.at(200, i=2, a="VIEW", land="fr"),
        shop.at(5000, land="it"),  # after the last engagement: in no sequence, but observed
    )
    found = by_measure(fired(spec, rows))
    assert found["tokens_raw", "contents"] == found["tokens_kept", "contents"] == 6
    assert (found["tokens_raw", "land"], found["tokens_kept", "land"]) == (4, 3)
    assert (found["tokens_raw", "likes"], found["tokens_kept", "likes"]) == (5, 3)
    assert found["sessions", None] == found["sequences", None] == 1
    assert found["new_contents", None] == 3
    assert found["sequence_tokens", None] == 6 + 2 + 3
    assert found["sequence_raw_tokens", None] == 6 + 3 + 5
    assert found["sequence_cost", None] == 11**2
    assert found["sequence_raw_cost", None] == 14**2


def test_joined_engagements_are_raw_tokens_that_are_not_kept() -> None:
    spec = spec_of(shop.spec_of(attribution="500ms"))
    records = [shop.at(0, i=1, a="VIEW"), shop.at(400, i=1, a="LIKE"), shop.at(900, i=2, a="VIEW")]
    found = by_measure(fired(spec, observations(spec, decode(spec, {"e": records, "x": []}))))
    assert (found["tokens_raw", "contents"], found["tokens_kept", "contents"]) == (6, 4)


def test_counts_stand_in_the_hour_of_their_event_time() -> None:
    spec, rows = shop_rows(*(shop.at(k * HOUR, i=1, a="VIEW") for k in range(3)))
    table = fired(spec, rows)
    assert table.schema.equals(STATISTICS)
    sessions = [row for row in table.to_pylist() if row["measure"] == "sessions"]
    assert [row["value"] for row in sessions] == [1.0, 1.0, 1.0]
    starts = table["window_start"].cast(pa.int64()).to_pylist()
    ends = table["window_end"].cast(pa.int64()).to_pylist()
    lengths = [end - start for start, end in zip(starts, ends, strict=True) if start]
    assert {*lengths} == {HOUR, DAY}
    assert all(s % n == 0 for s, n in zip(filter(None, starts), lengths, strict=True))
    assert max(filter(None, starts)) <= T + 2 * HOUR
    assert min(filter(None, ends)) > T


def test_copies_are_counted_by_source_without_a_window() -> None:
    spec, rows = shop_rows(*[shop.at(0, i=1, a="VIEW")] * 3)
    (row,) = [row for row in fired(spec, rows).to_pylist() if row["measure"] == "copies"]
    assert (row["source"], row["value"], row["window_start"]) == ("e", 2.0, None)


def test_what_became_of_records() -> None:
    written = shop.spec_of()
    written["sources"]["e"] |= {"where": {"field": "a", "in": ["VIEW", "X"]}, "dropped": ["ctr"]}
    spec = spec_of(written)
    records: list[Any] = [
        shop.at(0, i=1, a="VIEW", ctr=0.5),
        shop.at(HOUR, i=1, a="VIEW"),
        shop.at(0, i=1, a="LIKE"),
        shop.at(0, i=1, a="X"),
        b"{",
    ]
    (decoded, _) = decode(spec, {"e": records, "x": []})
    table = as_table(of_decoded(decoded, Plan(spec, "e")))
    assert totals(table) == {
        ("records", "e", None, None): 2.0,
        ("bytes", "e", None, None): float(sum(map(len, as_texts(records)))),
        ("filtered", "e", None, None): 1.0,
        ("dropped", "e", "ctr", None): 1.0,
        ("rejected", "e", None, "unknown_action"): 1.0,
        ("rejected", "e", None, "malformed"): 1.0,
    }
    assert table.num_rows == 7  # records in two hours


def test_late_records_by_source() -> None:
    spec = spec_of(shop.spec_of())
    late = arriving(spec, {"e": [shop.at(0, i=1, a="VIEW")] * 2, "x": [{"u": "u", "t": T}]})
    found = totals(as_table(of_late(late, spec)))
    assert found == {("late", "e", None, None): 2.0, ("late", "x", None, None): 1.0}


def test_nothing_is_no_rows() -> None:
    assert as_table([]).equals(STATISTICS.empty_table())
    spec, rows = shop_rows()
    assert fired(spec, rows)["measure"].to_pylist() == ["firings"]


@pytest.mark.parametrize("number", range(3))
def test_firings_add_up_to_one(number: int) -> None:
    """Without erasures, after which what was counted before is forgotten."""
    written = drawn(specs(), 9)[6 + number]
    sources = {**crowd(written, drawn(crowd_parts(written), 18)[8:]), "erasures": []}
    spec = spec_of(written)
    rows = observations(spec, decode(spec, sources))
    times = sorted(rows["time"].to_pylist())
    random = Random(number)
    moments = sorted(random.choice(times) + random.choice([0, 500, 1000]) for _ in range(8))
    assert sums_of(fired(spec, rows, *moments)) == sums_of(fired(spec, rows))

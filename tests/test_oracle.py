"""The oracle, held to examples reckoned by hand: the rules S2 to S15 of docs/semantics.md."""

from typing import Any

import pytest
import xxhash

from tests.oracles import oracle
from tests.oracles.shop import (
    HELD,
    LAND,
    LIKES,
    PRICE,
    T,
    at,
    hashed,
    lengths,
    run,
    spec_of,
    tokens_of,
)
from tests.oracles.text import id_of


def test_s2_features_then_engagements_then_ends() -> None:
    records = [
        at(-1, i=3),
        at(0, id="d", i=1, land=1),
        at(0, id="c", a="OUT"),
        at(0, id="b", i=2),
        at(0, id="a", price=7),
        at(0, id="e", land=2),
    ]
    rows = run(spec_of(), *records).sequences
    assert len(rows) == 1  # the end mark stands after all engagements of its time
    expected = [(LAND, 1, 0), (LAND, 2, 0), (PRICE, 2, 0), (0, 2, 0), (1, 0, 0), (0, 1, 0)]
    assert tokens_of(rows[0])[2:-1] == expected


def test_s2_event_ids_then_sources_by_bytes() -> None:
    spec = spec_of()
    spec["sources"]["B"] = spec["sources"]["e"]
    ids = ["\U0001f600", "\uffff", "b", "B"]  # UTF-16 would put the first before the second
    records = [at(0, id=one, i=n + 1) for n, one in enumerate(ids)]
    row = run(spec, *records, B=[at(0, id="b", i=9)]).sequences[0]
    assert row["token_id"][::2] == [4, 9, 3, 2, 1]


def test_s2_event_id_absent_and_of_several_fields() -> None:
    spec = spec_of()
    del spec["sources"]["e"]["actions"], spec["sources"]["e"]["end"]
    spec["sources"]["e"]["event_id"] = ["id", "n"]
    first = run(spec, at(0, i=1.0, n=None)).sequences[0]
    assert first["sequence_id"] == hashed(f'["u","e","[\\"000000\\",null]",{T}]')
    second = run(spec, at(0, id=None, i=1.0, junk=1, c=[None])).sequences[0]
    event_id = hashed('{"c":[null],"i":1,"t":1700000000000,"u":"u"}')
    assert second["sequence_id"] == hashed(f'["u","e","{event_id}",{T}]')


def test_s2_every_field_that_is_named_counts() -> None:
    source = {
        "user": "u",
        "time": {"field": "t", "unit": "ms"},
        "event_id": ["id"],
        "item": "i.d",
        "actions": {"flags": {"LIKE": "l"}},
        "categories": {"topic": "c"},
        "end": {"field": "e", "in": [1]},
        "where": {"field": "w", "in": [1]},
        "dropped": ["n"],
        "features": {"land": {"field": "f"}, "likes": {"add": "a", "remove": "r"}},
    }
    values = {"l": 1, "c": [5, None], "e": 0, "w": 1.0, "n": 3, "f": "é", "a": [], "r": True}
    record = {"u": "u", "t": str(T), "i": {"d": 1}, **values}
    row = run(spec_of(sources={"e": source}), record).sequences[0]
    content = (
        f'{{"a":[],"c":[5,null],"e":0,"f":"é","i.d":1,"l":1,"r":true,"t":"{T}","u":"u","w":1}}'
    )
    assert row["sequence_id"] == hashed(f'["u","e","{hashed(content)}",{T}]')
    spec = spec_of()  # and the field of actions
    del spec["sources"]["e"]["end"], spec["sources"]["e"]["event_id"]
    row = run(spec, {"u": "u", "t": T, "i": 1, "a": "LIKE"}).sequences[0]
    content = f'{{"a":"LIKE","i":1,"t":{T},"u":"u"}}'
    assert row["sequence_id"] == hashed(f'["u","e","{hashed(content)}",{T}]')


def test_s3_least_of_copies() -> None:
    records = at(0, i=1, a="VIEW"), at(0, i=1, a="BUY", junk=1), at(0, i=1, a="BUY"), at(1, i=1)
    result = run(spec_of(), *records)
    assert (result.duplicates, result.accepted) == (2, 4)
    row = result.sequences[0]
    assert (row["token_id"], row["raw_tokens"]) == ([1, 0b100, 1, 0], 4)


def test_s3_no_copies_of_other_time_user_or_source() -> None:
    spec = spec_of()
    spec["sources"]["f"] = spec["sources"]["e"]
    records = at(0, id=1, i=1), at(1, id=1, i=1), at(0, id=1, i=1, u="v")
    assert run(spec, *records, f=[at(0, id="1", i=1)]).duplicates == 0
    assert run(spec, *records, at(0, id="1", i=1)).duplicates == 1


@pytest.mark.parametrize(("gap", "joined"), [(100, True), (101, False)])
def test_s4_joins_within_the_window_of_the_first(gap: int, joined: bool) -> None:
    records = (
        at(0, i=1, a="VIEW", c="x"),
        at(60, i=1, a="LIKE", c="y"),
        at(gap, i=1, a="BUY"),
        at(30, i=2),
    )
    row = run(spec_of(attribution="100ms"), *records).sequences[0]
    last = [] if joined else [(0, 1, gap), (1, 0b100, gap)]
    mask = 0b111 if joined else 0b011
    assert tokens_of(row) == [(0, 1, 0), (1, mask, 0), (0, 2, 30), (1, 0, 30), *last]
    assert row["category_topic"] == [[id_of("x")], [], *([] if joined else [[]])]


def test_s4_a_new_group_is_the_one_to_join() -> None:
    records = at(0, i=1), at(150, i=1), at(200, i=1, a="LIKE")
    row = run(spec_of(attribution="100ms"), *records).sequences[0]
    assert tokens_of(row) == [(0, 1, 0), (1, 0, 0), (0, 1, 150), (1, 0b010, 150)]


def test_s4_off_and_over_end_marks_and_sessions() -> None:
    records = at(0, i=1), at(0, id="z", i=1, a="LIKE"), at(5, a="OUT"), at(6, i=2), at(7, i=1)
    assert lengths(run(spec_of(), *records)) == [2, 2]
    result = run(spec_of(attribution="7ms"), *records)
    assert lengths(result) == [1, 1]
    assert result.sequences[0]["token_id"] == [1, 0b010]
    # Joiners stand where they stand: the first session ends at its one group's first record.
    assert [row["raw_tokens"] for row in result.sequences] == [2, 6]


def test_s5_first_of_each_run() -> None:
    records = [at(n, land=value) for n, value in enumerate(["1", 1, None, 1, 2, 2, 1])]
    row = run(spec_of(), *records, at(9, i=5)).sequences[0]
    assert tokens_of(row)[:-2] == [(LAND, 1, 6)]  # folded: the last run's first
    row = run(spec_of(), at(-1, i=4), *(record | {"i": 5} for record in records)).sequences[0]
    entries = [token for token in tokens_of(row) if token[0] == LAND]
    assert entries == [(LAND, 1, 0), (LAND, 2, 4), (LAND, 1, 6)]


def test_s5_runs_of_null() -> None:
    spec = spec_of()
    spec["sources"]["e"]["features"]["held"]["nulls"] = "value"
    records = at(0, i=1), at(1, i=2, held=None), at(2, i=3, held=8), at(3, i=4), at(4, i=5)
    row = run(spec, *records).sequences[0]
    entries = [token for token in tokens_of(row) if token[0] == HELD]
    assert entries == [(HELD, 0, 0), (HELD, 8, 2), (HELD, 0, 3)]
    assert row["raw_tokens"] == 15


@pytest.mark.parametrize(
    ("value", "number"),
    [(4.99, 1), (5, 2), ("5.0", 2), (19, 2), (20, 3), (100, 4), (-1, 1), ("1e3", 4)],
)
def test_s5_bins(value: Any, number: int) -> None:
    assert tokens_of(run(spec_of(), at(0, i=1, price=value)).sequences[0])[0] == (PRICE, number, 0)


def test_s6_changes_of_a_set() -> None:
    records = (
        at(0, i=1),
        at(1, i=1, add=[3, 2, 2, None]),
        at(2, i=1, add=[2, 9], rem=[9, 3, 8, 2]),  # 9 and 2 are only added, 8 was no member
        at(3, i=1, rem=5, add=[]),
    )
    row = run(spec_of(), *records).sequences[0]
    entries = [token for token in tokens_of(row) if token[0] == LIKES]
    assert entries == [(LIKES, 2, 1), (LIKES, 3, 1), (LIKES, -3, 2), (LIKES, 9, 2)]
    assert row["raw_tokens"] == 8 + 3 + 6 + 1


def test_s6_snapshots() -> None:
    spec = spec_of()
    spec["sources"]["e"]["features"]["likes"] = {"snapshot": "all"}
    values = [[2, 1], None, [1, 3], [3, 1, 1], [], []]
    records = [at(n + 1, i=1, all=value) for n, value in enumerate(values)]
    entries = [t for t in tokens_of(run(spec, at(0, i=1), *records).sequences[0]) if t[0] == LIKES]
    changes = [(1, 1), (2, 1), (-2, 3), (3, 3), (-1, 5), (-3, 5)]  # -1 first: ascending members
    assert entries == [(LIKES, member, time) for member, time in changes]


def test_s6_one_too_many_forgets_the_one_added_longest_ago() -> None:
    spec = spec_of(features={**spec_of()["features"], "likes": {"kind": "set", "max_members": 2}})
    adds = [[5], [6], [5], [3, 5], [5]]  # 5 is forgotten at time 4, and comes anew at time 5
    records = [at(n + 1, i=1, add=value) for n, value in enumerate(adds)]
    row = run(spec, at(0, i=1), *records, at(6, i=1, rem=[6])).sequences[0]
    entries = [(identity, time) for kind, identity, time in tokens_of(row) if kind == LIKES]
    assert entries == [(5, 1), (6, 2), (3, 4), (5, 5)]  # 6 was forgotten: no removal at 6


def test_s7_two_tokens_an_engagement_one_an_entry() -> None:
    row = run(spec_of(), at(0, i=1, a="VIEW"), at(1, land="de"), at(2, i=1)).sequences[0]
    assert row["token_type"] == [0, 1, LAND, 0, 1]
    assert row["token_id"] == [1, 1, id_of("de"), 1, 0]
    assert row["token_time"] == [T, T, T + 1, T + 2, T + 2]


@pytest.mark.parametrize(("gap", "expected"), [(1000, [2]), (1001, [1, 1])])
def test_s8_gap(gap: int, expected: list[int]) -> None:
    feature = at(500, land=1)  # extends nothing
    assert lengths(run(spec_of(), at(0, i=1), feature, at(gap, i=2))) == expected


def test_s8_ends_and_fullness() -> None:
    spec = spec_of(session={"gap": "1000ms", "max_contents": 2})
    records = at(0, i=1), at(0, id="z", a="OUT"), at(1, a="OUT"), *(at(n, i=n) for n in range(2, 7))
    result = run(spec, *records)
    assert lengths(result) == [1, 2, 2, 1]
    assert [(row["session_start"] - T, row["session_end"] - T) for row in result.sequences] == [
        (0, 0),
        (2, 3),
        (4, 5),
        (6, 6),
    ]


def test_s8_gap_is_from_groups_not_from_joiners() -> None:
    records = at(0, i=1), at(900, i=1), at(1100, i=2)
    assert lengths(run(spec_of(), *records)) == [3]
    assert lengths(run(spec_of(attribution="1000ms"), *records)) == [1, 1]


def histories_of(*, contents: int, tokens: int) -> list[list[tuple[int, int, int]]]:
    """Tokens of three sessions of one content each, with features before and between."""
    spec = spec_of(history={"contents": contents, "tokens": tokens})
    records = (
        at(0, land=1, add=[4, 2]),
        at(10, land=2),
        at(5000, i=1),
        at(5001, rem=4, land=3),
        at(10_000, i=2),
        at(10_001, land=9),
        at(15_000, i=3),
        at(15_001, land=8),
    )
    return [tokens_of(row) for row in run(spec, *records).sequences]


PHI_1, PHI_2, PHI_3 = ([(0, n, n * 5000), (1, 0, n * 5000)] for n in (1, 2, 3))


def test_s9_folds_the_head_where_nothing_is_cut() -> None:
    head = [(LIKES, 2, 0), (LIKES, 4, 0), (LAND, 2, 10)]
    between = [(LAND, 3, 5001), (LIKES, -4, 5001)]
    rows = histories_of(contents=9, tokens=12)
    assert rows[0] == [*head, *PHI_1]
    assert rows[1] == [*head, *PHI_1, *between, *PHI_2]
    assert rows[2] == [*head, *PHI_1, *between, *PHI_2, (LAND, 9, 10_001), *PHI_3]


@pytest.mark.parametrize(("contents", "tokens"), [(9, 11), (2, 12), (9, 7)])
def test_s9_folds_what_is_cut_off(contents: int, tokens: int) -> None:
    head = [(LIKES, 2, 0), (LAND, 3, 5001)]
    rows = histories_of(contents=contents, tokens=tokens)
    assert rows[2] == [*head, *PHI_2, (LAND, 9, 10_001), *PHI_3]


@pytest.mark.parametrize(
    ("tokens", "head"),
    [(6, 2), (4, 2), (3, 1), (2, 0)],
)
def test_s9_drops_the_oldest_of_the_head_last(tokens: int, head: int) -> None:
    whole = [(LIKES, 2, 0), (LAND, 9, 10_001)]
    assert histories_of(contents=9, tokens=tokens)[2] == [*whole[2 - head :], *PHI_3]


def test_s9_head_knows_of_forgotten_members() -> None:
    spec = spec_of(features={**spec_of()["features"], "likes": {"kind": "set", "max_members": 2}})
    records = at(0, add=[5, 6]), at(1, add=[1, 9]), at(2, add=5), at(3, i=1)
    assert tokens_of(run(spec, *records).sequences[0])[:-2] == [(LIKES, 9, 1), (LIKES, 5, 2)]


def test_s10_up_to_the_last_engagement() -> None:
    records = at(0, i=1), at(1, land=1), at(2000, i=2), at(2000, id="z", land=2), at(2001, land=3)
    first, second = run(spec_of(), *records).sequences
    assert tokens_of(first) == [(0, 1, 0), (1, 0, 0)]
    between = [(LAND, 1, 1), (LAND, 2, 2000)]
    assert tokens_of(second) == [(0, 1, 0), (1, 0, 0), *between, (0, 2, 2000), (1, 0, 2000)]
    assert [(row["contents"], row["raw_tokens"]) for row in (first, second)] == [(1, 2), (2, 6)]


def test_s10_columns_of_a_session_longer_than_its_sequence() -> None:
    records = [at(n, i=n + 1, c=n + 1) for n in range(4)]
    row = run(spec_of(history={"contents": 3, "tokens": 5}), *records).sequences[0]
    assert (row["contents"], row["new_contents"], row["raw_tokens"]) == (2, 4, 8)
    assert row["category_topic"] == [[3], [4]]


def test_s11_identity_of_the_first_engagement() -> None:
    records = at(0, u=7.0, id=1.5, i=1, a="OUT"), at(1, u="7", i=1), at(2, u="7", i=2)
    first, second = run(spec_of(), *records).sequences
    assert first["sequence_id"] == hashed(f'["7","e","1.5",{T}]')
    assert second["sequence_id"] == hashed(f'["7","e","000001",{T + 1}]')


def test_s12_any_order_of_arrival() -> None:
    records = [at(n * 7 % 13, i=n % 3, land=n % 2, add=[n], a="LIKE") for n in range(13)]
    assert run(spec_of(), *records).sequences == run(spec_of(), *reversed(records)).sequences


def test_s13_erasure_voids_and_starts_anew() -> None:
    records = at(0, i=1, land=1, add=1), at(5000, i=2), at(5001, i=3, land=1, add=1)
    erasure = {"u": "u", "t": T + 5000}
    result = run(spec_of(attribution="1000ms"), *records, at(5000, id="w", i=3), x=[erasure])
    (row,) = result.sequences
    assert tokens_of(row) == [(LAND, 1, 5001), (LIKES, 1, 5001), (0, 3, 5001), (1, 0, 5001)]
    assert (row["raw_tokens"], row["new_contents"]) == (4, 1)
    assert result.tombstones == {("u", T + 5000)}


def test_s13_kafka_tombstone() -> None:
    records = [at(0, i=1), at(1, i=2), at(0, u="v", i=1)]
    tombstones = [("u", T), ("w", T)]
    result = oracle.sequences(spec_of(), {"e": list(records)}, tombstones)
    assert [(row["user_id"], row["token_id"]) for row in result.sequences] == [
        ("u", [2, 0]),
        ("v", [1, 0]),
    ]
    assert result.tombstones == set(tombstones)


def test_s14_draw() -> None:
    records = [at(n * 5000, i=1) for n in range(60)]
    whole = run(spec_of(), *records).sequences
    thin = run(spec_of(sampling={"tokens": 20, "seed": 3}), *records).sequences
    below = [
        row
        for row in whole
        if xxhash.xxh3_64_intdigest(f"3:{row['sequence_id']}".encode()) / 2**64
        < 20 / len(row["token_id"])
    ]
    assert thin == below
    assert thin[:10] == whole[:10]  # of up to 20 tokens: always
    assert 10 < len(thin) < 60


@pytest.mark.parametrize(("gap", "contents"), [(2000, 2), (2001, 1)])
def test_s15_retention(gap: int, contents: int) -> None:
    records = at(0, i=1), at(100, land=1, add=1), at(100 + gap, i=1, land=1, add=1)
    first, second = run(spec_of(retention="2000ms"), *records).sequences
    assert first["contents"] == 1
    assert (second["contents"], second["raw_tokens"]) == (contents, 4 + 4 * (contents - 1))


def test_s15_any_observation_keeps_what_is_held() -> None:
    records = at(0, i=1), at(2000, a="OUT"), at(4000, rem=[]), at(6000, i=1)
    assert [row["contents"] for row in run(spec_of(retention="2000ms"), *records).sequences] == [
        1,
        2,
    ]
    nothing = at(0, i=1), at(2000, rem=None), at(4000, i=1)  # yields no observation
    rows = run(spec_of(retention="2000ms"), *nothing).sequences
    assert [row["contents"] for row in rows] == [1, 1]


def test_s15_erasure_voids_histories_before() -> None:
    records = at(0, i=1), at(3000, i=2), at(6000, i=3)
    spec = spec_of(retention="2000ms")
    assert lengths(run(spec, *records)) == [1, 1, 1]
    erased = run(spec, *records, x=[{"u": "u", "t": T + 3000}])
    assert [row["token_id"] for row in erased.sequences] == [[3, 0]]

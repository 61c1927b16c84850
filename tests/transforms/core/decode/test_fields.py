"""S1: null, missing, nested and list-valued fields, and numerical features, each by its rule."""

from typing import Any

import pytest

from schemas.ids import HASHED, canonical_json, content_id, id_of
from tests.transforms.core.decode.reading import (
    SOURCE,
    Row,
    T,
    line,
    only,
    plain,
    read,
    read_slowly,
    shop,
    texts,
)


def rows(*lines: bytes, **changes: Any) -> list[Row]:
    """The rows of these lines, the same as a table and one by one."""
    plan = shop(**changes)
    padded = [*lines, *[line(u="pad")] * 40]
    done = read(texts(*padded), plan)
    assert plain(done) == plain(read_slowly(texts(*padded), plan))
    assert done.rejected.num_rows == 0
    return list(done.rows.to_pylist()[: len(lines)])


@pytest.mark.parametrize("absent", [{}, {"i": None}])
def test_null_and_missing_items_are_no_engagement(absent: Row) -> None:
    (row,) = rows(line(a="VIEW", c=[1], **absent))
    assert (row["item"], row["actions"], row["category:topic"]) == (None, 0, [])


@pytest.mark.parametrize("absent", [{}, {"a": None}, {"a": []}, {"a": [None]}])
def test_null_and_missing_actions_are_an_impression(absent: Row) -> None:
    (row,) = rows(line(i=7, **absent))
    assert (row["item"], row["actions"], row["end"]) == (7, 0, False)


@pytest.mark.parametrize("absent", [{}, {"geo": None}, {"geo": {}}, {"geo": {"land": None}}])
def test_null_and_missing_scalars_are_not_observed(absent: Row) -> None:
    assert rows(line(**absent))[0]["scalar:land"] is None


@pytest.mark.parametrize("absent", [{}, {"agent": None}])
def test_null_and_missing_scalars_are_the_value_null_where_the_spec_says_so(absent: Row) -> None:
    assert rows(line(**absent))[0]["scalar:device"] == 0
    assert rows(line(agent="a"))[0]["scalar:device"] == id_of("a")


def test_null_scalars_are_the_value_null_beside_lists_that_are_rejected() -> None:
    done = read(texts(*[line(agent=[1])] * 30, *[line()] * 30))
    assert done.reasons == {"bad_type": 30}
    assert done.rows["scalar:device"].to_pylist() == [0] * 30


@pytest.mark.parametrize("absent", [{}, {"add": None}])
def test_null_and_missing_sets_are_not_observed(absent: Row) -> None:
    (row,) = rows(line(all=None, **absent))
    assert (row["add:likes"], row["remove:likes"], row["snapshot:joined"]) == (None, None, None)


def test_empty_lists_are_observations_of_sets() -> None:
    (row,) = rows(line(add=[], all=[]))
    assert (row["add:likes"], row["remove:likes"], row["snapshot:joined"]) == ([], None, [])
    assert rows(line(add=[None]))[0]["add:likes"] == []


def test_sets_of_one_value_and_of_a_list_with_nulls_and_repeats() -> None:
    one, several = rows(line(add=7), line(add=[7, None, "7", 8, 7.0], rem="a"))
    assert one["add:likes"] == [7]
    assert several["add:likes"] == [7, 7, 8, 7]
    assert several["remove:likes"] == [id_of("a")]


def test_categories_in_the_order_given_without_nulls_and_repeats() -> None:
    one, several, none = rows(
        line(i=1, c="x"), line(i=1, c=[9, None, "x", "9", 9.0, 3], by={"maker": 5}), line(c=[1])
    )
    assert one["category:topic"] == [id_of("x")]
    assert several["category:topic"] == [9, id_of("x"), 3]
    assert several["category:maker"] == [5]
    assert none["category:topic"] == none["category:maker"] == []


def test_nested_fields_and_paths_through_what_is_no_record() -> None:
    found = rows(
        line(geo={"land": "de"}),
        line(geo=7),
        line(geo="x"),
        line(geo=[{"land": 1}]),
        line(**{"geo.land": "de"}),
        line(geo={"land": 2, "more": {"land": 3}}),
    )
    assert [row["scalar:land"] for row in found] == [id_of("de"), None, None, None, None, 2]


def test_escaped_dots_are_of_the_name() -> None:
    feature = {"land": {"field": "geo\\.land"}, "device": {"field": "a.\\.b"}}
    one, other = rows(
        line(**{"geo.land": 5}), line(a={".b": 6}), features=feature, actions=None, end=None
    )
    assert (one["scalar:land"], other["scalar:device"]) == (5, 6)


def test_one_field_may_serve_several_purposes() -> None:
    (row,) = rows(
        line(i="q"), event_id="i", features={"land": {"field": "i"}, "likes": {"add": "i"}}
    )
    assert row["event_id"] == "q"
    assert row["item"] == row["scalar:land"] == row["add:likes"][0] >= HASHED


def test_actions_of_a_text_and_of_a_list_are_bits_in_spec_order() -> None:
    found = rows(
        line(i=1, a="LIKE"), line(i=1, a=["BUY", None, "VIEW", "BUY"]), line(i=1, a=["OUT", "LIKE"])
    )
    assert [row["actions"] for row in found] == [0b010, 0b101, 0b010]
    assert [row["end"] for row in found] == [False, False, True]


FLAGS: list[tuple[Any, bool]] = [
    (True, True), (False, False), (1, True), (0, False), (-0.5, True), (0.0, False), ("1", True),
    ("0.0", False), ("true", True), ("false", False), ("0e5", False), (None, False),
]  # fmt: skip


@pytest.mark.parametrize(("value", "is_set"), FLAGS)
def test_flags_are_true_or_not_0(value: Any, is_set: bool) -> None:
    actions = {"flags": {"BUY": "bought"}}
    (row,) = rows(line(i=1, bought=value), actions=actions, end=None)
    assert row["actions"] == (0b100 if is_set else 0)


def test_actions_that_are_always_there() -> None:
    one, none = rows(line(i=1), line(), actions={"always": ["VIEW", "BUY"]}, end=None)
    assert (one["actions"], none["actions"]) == (0b101, 0)


def test_end_marks_by_any_element_and_by_text() -> None:
    found = rows(
        line(e=1), line(e="1.0"), line(e=[2, True]), line(), end={"field": "e", "in": [1, True]}
    )
    assert [row["end"] for row in found] == [True, False, True, False]


def test_the_filter_comes_first_and_is_counted() -> None:
    plan = shop(where={"field": "a", "in": ["VIEW"]}, end={"field": "e", "in": [1]})
    lines = [line(i=1, a="VIEW"), line(u=None, t=None, a="LIKE"), line(a="LIKE", e=1), line(i=[1])]
    for several in (lines, lines * 20):
        done = read(texts(*several), plan)
        assert plain(done) == plain(read_slowly(texts(*several), plan))
        assert done.filtered == len(several) // 2
        assert [n % 4 for n in done.place.tolist()] == [0, 2] * (len(several) // 4)


def test_numerical_features_are_dropped_and_counted_by_name() -> None:
    done = read(texts(
        line(i=1, ctr=0.5, seen={"dwell": 3}), line(i=1, ctr=0, seen=7), line(i=1, ctr=None),
        line(i=1, ctr=[], seen={"dwell": {}}), line(i=1, a="SELL", ctr=1), *[line(ctr=1.5)] * 40,
    ))  # fmt: skip
    dropped = {path: len(places) for path, places in done.dropped.items()}
    assert dropped == {"ctr": 43, "seen.dwell": 2}
    assert done.reasons == {"unknown_action": 1}


def test_dropped_fields_are_no_part_of_the_content() -> None:
    one, other = rows(line(i=1, ctr=1), line(i=1, ctr=2))
    assert one["event_id"] == other["event_id"]


PRICES: list[tuple[Any, int | None]] = [
    (4.99, 1), (5, 2), (5.0, 2), ("5", 2), ("5.00", 2), (20, 2), (20.49, 2), (20.5, 3),
    ("20.50", 3), ("20.4999999999999999999999999", 2), (100, 4), ("1e2", 4), (1e300, 4),
    (-1, 1), (-1e300, 1), ("-0", 1), (2**53 + 1, 4), (2**64, 4), (None, None), ("+.5e1", 2),
]  # fmt: skip


@pytest.mark.parametrize(("value", "number"), PRICES)
def test_s1_bins_are_one_more_than_the_edges_at_or_below(value: Any, number: int | None) -> None:
    assert rows(line(price=value))[0]["scalar:price"] == number
    (row,) = read(texts(*[line(price=value)] * 40)).rows.to_pylist()[:1]
    assert row["scalar:price"] == number


def test_bins_at_edges_that_floats_hardly_hold() -> None:
    edge = 2.0**53 + 4
    feature = {"price": {"field": "price", "bins": [0.1, edge]}}
    values = [2**53 + 3, 2**53 + 4, 2**53 + 5, edge, 0.1, 0.09999999999999999, "0.1"]
    found = rows(*(line(price=value) for value in values), features=feature)
    assert [row["scalar:price"] for row in found] == [2, 3, 3, 3, 2, 1, 2]


def test_bins_at_integers_that_no_float_holds() -> None:
    bins = [0.1, 5, 2**53, 2**53 + 1, 10**30 + 1]
    feature = {"price": {"field": "price", "bins": bins}}
    values = [2**53 - 1, 2**53, 2**53 + 1, 2**53 + 2, 10**30, 10**30 + 1, "1e30", 1e22]
    found = rows(*(line(price=value) for value in values), features=feature)
    assert [row["scalar:price"] for row in found] == [3, 4, 5, 5, 5, 6, 5, 5]
    for value, number in zip(values[:4], [3, 4, 5, 5], strict=True):
        for others in ([], [line(price=0.5)]):
            found = rows(*[line(price=value)] * 40, *others, features=feature)
            assert found[0]["scalar:price"] == number


def test_s2_the_event_id_of_a_field_of_several_and_of_none() -> None:
    one, null = rows(line(id=7.0), line(id=None, i="é"))
    assert one["event_id"] == "7"
    content = canonical_json({"i": "é", "t": T, "u": "x"})
    assert null["event_id"] == content_id(content)
    assert (one["content"], null["content"]) == (canonical_json({"id": 7, "t": T, "u": "x"}), None)
    both = rows(line(id="a", n=None), line(id=None, n=1.5), line(), event_id=["id", "n"])
    assert [row["event_id"] for row in both][:2] == ['["a",null]', "[null,1.5]"]
    assert len(both[2]["event_id"]) == 32
    assert rows(line(id="a"), event_id=["id"])[0]["event_id"] == '["a"]'


def test_what_a_record_without_observations_is() -> None:
    row = only(read(texts(line()), shop(features=None)))
    assert (row.pop("user"), row.pop("time"), len(row.pop("event_id"))) == ("x", T, 32)
    assert not any(row.values())


USES = [{"features": {"likes": {"add": "a"}}}, {"categories": {"topic": "a"}}]


@pytest.mark.parametrize("uses", USES)
def test_s2_the_id_of_a_content_whose_lists_hold_nulls(uses: Row) -> None:
    """All named fields are in every record, so that the content is joined in one go."""
    least = dict.fromkeys(SOURCE) | {"user": "u", "time": "t", "item": "i"}
    plan = shop(**least | uses)
    padding = [line(i=1, a=["x"])] * 40
    several = texts(line(i=1, a=["x", None]), *padding, line(i=1, a={"x": 1}))
    done = read(several, plan)
    assert plain(done) == plain(read_slowly(several, plan))
    content = canonical_json({"a": ["x", None], "i": 1, "t": T, "u": "x"})
    assert done.rows["event_id"][0].as_py() == content_id(content)
    assert done.reasons == {"bad_type": 1}

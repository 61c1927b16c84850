"""Rows as they are checked and turned into tensors, against plain loops."""

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.reader.progress import Progress
from model.reader.rows import Checking, Rows, batch_of
from schemas.failures import Failure, UsageError
from schemas.sequences import sequence_schema
from tests.machine import spec_of
from tests.model.reader.support import FINGERPRINT, SCHEMA, SPEC, Row, rows, sequence
from tests.oracles import shop
from tests.oracles.shop import T

CHECKING = Checking(SPEC)


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3)), min_size=1, max_size=8), st.data())
def test_a_batch_has_what_the_rows_have(sizes: list[tuple[int, int]], data: st.DataObject) -> None:
    sequences = [sequence(f"u{n}", n, *size, end=n) for n, size in enumerate(sizes)]
    start = data.draw(st.integers(0, len(sizes) - 1))
    middle = data.draw(st.integers(start, len(sizes)))
    whole = CHECKING.checked(rows(sequences), "here")
    pieces = [whole.slice(start, middle - start), whole.slice(middle)]
    batch = batch_of([piece for piece in pieces if piece.num_rows], Progress(0, 1))
    there = sequences[start:]
    for name, tensor in (("type", batch.type_T), ("id", batch.id_T), ("time", batch.time_T)):
        assert tensor.tolist() == [each for row in there for each in row[f"token_{name}"]]
    assert batch.offsets_B1.diff().tolist() == [len(row["token_id"]) for row in there]
    assert batch.new_contents_B.tolist() == [
        min(row["new_contents"], row["contents"]) for row in there
    ]
    topic = batch.categories["topic"]
    lists = [ids for row in there for ids in row["category_topic"]]
    ends = topic.offsets_E1.tolist()
    assert [topic.ids_N.tolist()[a:b] for a, b in pairwise(ends)] == lists
    assert list(batch.users) == [row["user_id"] for row in there]
    assert batch.session_end_B.tolist() == [row["session_end"] for row in there]


def changed(**columns: Any) -> Row:
    return sequence("u", 1, 2, 1) | columns


WRONG: list[tuple[str, Row]] = [
    ("column token_id has nulls", changed(token_id=[1, 2, None, 4, 5])),
    ("column category_topic has nulls", changed(category_topic=[[1], None])),
    ("column category_topic has nulls", changed(category_topic=[[1], [None]])),
    ("column user_id has nulls", changed(user_id=None)),
    ("token_time and token_id have lists", changed(token_time=[T, T])),
    ("token_type and token_id have lists", changed(token_type=[5, 0, 1, 0])),
    ("a token of type 6; the spec has types 0 to 5", changed(token_type=[6, 0, 1, 0, 1])),
    ("a token of type 5;", changed(token_type=[5, 0, 1, 0, -1])),
    ("a content that no action set", changed(token_type=[0, 1, 0, 5, 1])),
    ("a content that no action set", changed(token_type=[5, 0, 1, 1, 0])),
    ("a content that no action set", changed(token_type=[1, 0, 1, 0, 5])),
    (
        "a content that no action set",
        changed(token_type=[1, 0, 1, 5, 5], contents=1, category_topic=[[1]]),
    ),
    ("contents is not the number", changed(contents=3)),
    ("contents is not the number", changed(token_type=[5] * 5, contents=0, category_topic=[])),
    ("category_topic has not one list", changed(category_topic=[[1]])),
    ("a content whose id is not positive", changed(token_id=[1, 0, 1, 4, 5])),
    ("a set of actions that is not within 0 to 7", changed(token_id=[1, 2, 8, 4, 5])),
    ("a set of actions that is not within 0 to 7", changed(token_id=[1, 2, -1, 4, 5])),
    (f"fingerprint other; the one given has {FINGERPRINT}", changed(spec="other")),
]


@pytest.mark.parametrize(("says", "row"), WRONG)
def test_what_no_sequence_is_like_is_refused(says: str, row: Row) -> None:
    good = sequence("v", 2, 1)
    for sequences in ([row], [good, row], [row, good]):
        with pytest.raises(Failure, match=r"^here: ") as caught:
            CHECKING.checked(rows(sequences), "here")
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)


def test_an_action_set_belongs_to_the_content_of_its_own_row() -> None:
    one = sequence("u", 1) | {"token_type": [5, 0]}
    two = sequence("u", 2) | {"token_type": [1, 0]}
    three = sequence("u", 3) | {"token_type": [1, 5], "contents": 0}
    for sequences in ([one, two], [one, three]):
        with pytest.raises(Failure):
            CHECKING.checked(rows(sequences), "here")


def test_columns_that_are_not_known_are_passed_over() -> None:
    there = rows([sequence("u", 1)])
    more = there.append_column("more", pa.array([[None]]))
    assert CHECKING.checked(more, "here").equals(there)
    assert SCHEMA.names == there.schema.names


def test_a_spec_without_categories_has_none() -> None:
    written = shop.spec_of()
    del written["categories"], written["sources"]["e"]["categories"]
    spec = spec_of(written)
    row = sequence("u", 1) | {"spec": Checking(spec).fingerprint}
    there = pa.RecordBatch.from_pylist([row], sequence_schema(spec))
    batch = batch_of([Checking(spec).checked(there, "here")], Progress(0, 1))
    assert batch.categories == {}
    assert batch.contents == 1


def test_what_is_chosen_is_found_among_the_rows() -> None:
    there = Rows.of(rows([sequence("u", n, 2) for n in range(5)]))
    odd = pa.array([False, True, False, True, False])
    chosen, at = there.chosen(lambda batch: batch.filter(odd))
    assert at.tolist() == [1, 3]
    assert chosen.seen.ids.tolist() == there.seen.ids[[1, 3]].tolist()
    assert [len(part) for part in there.chosen(lambda batch: batch.slice(0, 0))] == [0, 0]


@pytest.mark.parametrize("order", [[1, 0], [1, 1]])
def test_a_choice_of_other_rows_is_refused(order: list[int]) -> None:
    there = Rows.of(rows([sequence("u", n) for n in range(2)]))
    with pytest.raises(UsageError, match="in their order"):
        there.chosen(lambda batch: batch.take(order))
    with pytest.raises(UsageError, match="in their order"):
        there.chosen(lambda _: rows([sequence("w", 9)]))

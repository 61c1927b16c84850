"""Observations to the shard of their user."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.ids import bucket_of
from transforms.shards import ShardByUser

USERS = st.lists(st.sampled_from(["", "1", "ü", "a", "b", "c", "d" * 99]), min_size=1, max_size=50)


def batch(users: list[str]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({"user": users, "n": list(range(len(users)))})


@pytest.mark.parametrize("shards", [1, 2, 7, 256])
@given(users=USERS)
def test_every_row_goes_to_the_shard_of_its_user_in_order(shards: int, users: list[str]) -> None:
    found = [*ShardByUser(shards).process(batch(users))]
    assert len({number for number, _ in found}) == len(found)
    numbers = []
    for number, rows in found:
        own = rows["n"].to_pylist()
        assert own == sorted(own)
        assert {bucket_of(users[n], shards) for n in own} == {number}
        numbers += own
    assert sorted(numbers) == list(range(len(users)))


def test_chunks_of_a_sliced_batch_are_its_own() -> None:
    found = [*ShardByUser(4).process(batch(["a", "b", "c", "d"]).slice(1, 2))]
    assert sorted(n for _, rows in found for n in rows["n"].to_pylist()) == [1, 2]

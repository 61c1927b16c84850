"""Batches joined, moved and counted."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from model.batch import SequenceBatch
from model.reader.progress import Progress
from model.reader.rows import batch_of
from tests.model.reader.support import rows, sequence

NOTHING = Progress(0, 1)


def batch(*lengths: int) -> SequenceBatch:
    sequences = [sequence("u", n, length, n % 3) for n, length in enumerate(lengths)]
    return batch_of([rows(sequences)], NOTHING)


def parts(whole: SequenceBatch) -> list[object]:
    """Each sequence by itself, in plain values."""
    found: list[object] = []
    contents = 0
    for b in range(whole.sequences):
        here = slice(int(whole.offsets_B1[b]), int(whole.offsets_B1[b + 1]))
        count = int((whole.type_T[here] == 0).sum())
        topic = whole.categories["topic"]
        ends = topic.offsets_E1.tolist()
        ids = [
            topic.ids_N[ends[e] : ends[e + 1]].tolist() for e in range(contents, contents + count)
        ]
        contents += count
        columns = (whole.type_T, whole.id_T, whole.time_T)
        each = (whole.new_contents_B, whole.session_end_B)
        found.append(
            [*(column[here].tolist() for column in columns), ids, *(int(c[b]) for c in each)]
        )
    return found


@given(st.lists(st.lists(st.integers(1, 4), min_size=1, max_size=4), min_size=1, max_size=4))
def test_joined_batches_have_the_sequences_of_each(lengths: list[list[int]]) -> None:
    batches = [batch(*each) for each in lengths]
    joined = SequenceBatch.joined(batches)
    assert parts(joined) == [part for each in batches for part in parts(each)]
    assert joined.users == tuple(user for each in batches for user in each.users)
    assert joined.sequence_ids == tuple(name for each in batches for name in each.sequence_ids)
    assert (joined.sequences, joined.tokens, joined.contents) == (
        sum(map(len, lengths)),
        sum(each.tokens for each in batches),
        sum(map(sum, lengths)),
    )
    assert joined.progress is None


def test_a_batch_is_moved_with_all_that_it_has() -> None:
    there = batch(2, 1).to("meta")
    tensors = [there.offsets_B1, there.type_T, there.id_T, there.time_T, there.new_contents_B]
    tensors += [there.session_end_B]
    tensors += [t for c in there.categories.values() for t in (c.ids_N, c.offsets_E1)]
    assert all(tensor.device == torch.device("meta") for tensor in tensors)
    assert there.progress is NOTHING


def test_contents_are_counted_without_categories() -> None:
    whole = batch(2, 3)
    bare = SequenceBatch(
        whole.offsets_B1, whole.type_T, whole.id_T, whole.time_T, whole.new_contents_B, {},
        whole.users, whole.sequence_ids, whole.session_end_B,
    )  # fmt: skip
    assert bare.contents == 5

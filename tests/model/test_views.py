"""The views of ranking and retrieval, against the words of docs/semantics.md in plain loops."""

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st

from model.batch import SequenceBatch
from model.views import View, content_of, ranking_view, retrieval_view, sequence_of
from schemas.sequences import ACTION, CONTENT

POSITIVE = 0b110


@dataclass
class Row:
    """Entries in order: (content, actions) or (feature type, id); and how many are new."""

    entries: list[tuple[str, int, int]]
    new: int


@st.composite
def rows(draw: st.DrawFn) -> Row:
    entry = st.one_of(
        st.tuples(st.just("content"), st.integers(1, 5), st.integers(0, 7)),
        st.tuples(st.just("feature"), st.integers(2, 4), st.integers(-3, 3)),
    )
    entries = draw(st.lists(entry, max_size=8))
    contents = sum(kind == "content" for kind, _, _ in entries)
    return Row(entries, draw(st.integers(min(1, contents), contents)))


def batch_of(sequences: list[Row]) -> SequenceBatch:
    tokens: list[tuple[int, int, int]] = []
    offsets = [0]
    for row in sequences:
        for number, (kind, first, second) in enumerate(row.entries):
            time = 1_000 * len(offsets) + 10 * number
            if kind == "content":
                tokens += [(CONTENT, first, time), (ACTION, second, time)]
            else:
                tokens.append((first, second, time))
        offsets.append(len(tokens))
    types, ids, times = torch.tensor(tokens, dtype=torch.int64).reshape(-1, 3).unbind(1)
    new = torch.tensor([row.new for row in sequences], dtype=torch.int64)
    names = tuple(map(str, range(len(sequences))))
    end = torch.zeros(len(sequences), dtype=torch.int64)
    return SequenceBatch(torch.tensor(offsets), types, ids, times, new, {}, names, names, end)


Position = tuple[int, int, int, int, bool, bool]
"""token, action, query time, target, whether there is one, whether it is new."""


def positions_of(view: View) -> list[Position]:
    columns = (
        *(view.token_F, view.action_F, view.query_time_F),
        *(view.target_F, view.has_target_F, view.is_new_F),
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


def plain_ranking(sequences: list[Row], features: bool) -> list[list[Position]]:
    found, token = [], 0
    for number, row in enumerate(sequences, 1):
        line: list[Position] = []
        contents = sum(kind == "content" for kind, _, _ in row.entries)
        passed = 0
        for place, (kind, _, second) in enumerate(row.entries):
            time = 1_000 * number + 10 * place
            if kind == "content":
                passed += 1
                new = contents - passed < row.new
                line.append((token, -1, time, second, True, new))
                line.append((token + 1, -1, time, 0, False, False))
                token += 2
            else:
                if features:
                    line.append((token, -1, time, 0, False, False))
                token += 1
        found.append(line)
    return found


def plain_retrieval(sequences: list[Row], features: bool) -> list[list[Position]]:
    found, token = [], 0
    for number, row in enumerate(sequences, 1):
        line: list[Position] = []
        contents = sum(kind == "content" for kind, _, _ in row.entries)
        passed = 0
        for place, (kind, _, second) in enumerate(row.entries):
            time = 1_000 * number + 10 * place
            if kind != "content":
                if features:
                    line.append((token, -1, time, 0, False, False))
                token += 1
                continue
            passed += 1
            rest = enumerate(row.entries[place + 1 :], place + 1)
            following = next(((at, e) for at, e in rest if e[0] == "content"), None)
            if following is None:
                line.append((token, second, time, 0, False, False))
            else:
                at, (_, content, actions) = following
                wanted = bool(actions & POSITIVE)
                new = wanted and contents - (passed + 1) < row.new
                target = content if wanted else 0
                line.append((token, second, 1_000 * number + 10 * at, target, wanted, new))
            token += 2
        found.append(line)
    return found


def check(view: View, expected: list[list[Position]]) -> None:
    assert positions_of(view) == [position for line in expected for position in line]
    assert view.offsets_B1.diff().tolist() == [len(line) for line in expected]


@given(st.lists(rows(), max_size=5), st.booleans())
def test_ranking_is_as_in_plain_loops(sequences: list[Row], features: bool) -> None:
    view = ranking_view(batch_of(sequences), features)
    check(view, plain_ranking(sequences, features))


@given(st.lists(rows(), max_size=5), st.booleans())
def test_retrieval_is_as_in_plain_loops(sequences: list[Row], features: bool) -> None:
    view = retrieval_view(batch_of(sequences), POSITIVE, features)
    check(view, plain_retrieval(sequences, features))


@given(st.lists(rows(), max_size=5))
def test_tokens_know_their_sequence_and_content(sequences: list[Row]) -> None:
    batch = batch_of(sequences)
    lengths = batch.offsets_B1.diff().tolist()
    numbers = [number for number, length in enumerate(lengths) for _ in range(length)]
    assert sequence_of(batch.offsets_B1, batch.tokens).tolist() == numbers
    contents = (batch.type_T == CONTENT).nonzero().squeeze(1)
    assert content_of(batch, contents).tolist() == list(range(len(contents)))

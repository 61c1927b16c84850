"""Rows of sequences by hand and by Hypothesis, and what is true of them in plain loops."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from schemas.sequences import ACTION, CONTENT, FIRST_FEATURE, FIXED

Token = tuple[int, int, int]
"""Type, id and time."""

SETS = frozenset({FIRST_FEATURE + 1})
"""The types of set features: of the features 2, 3 and 4 the second is a set."""

SCHEMA = pa.schema([*FIXED, pa.field("category_topic", pa.list_(pa.list_(pa.int64())))])


def row_of(tokens: Sequence[Token], new_contents: int = 1, name: str = "ab", end: int = 0) -> Any:
    """A row with these tokens; the category of a content is its id, twice over for even ids."""
    contents = [number for kind, number, _ in tokens if kind == CONTENT]
    return {
        "user_id": "u",
        "sequence_id": name,
        "session_start": end,
        "session_end": end,
        "token_type": [kind for kind, _, _ in tokens],
        "token_id": [number for _, number, _ in tokens],
        "token_time": [time for _, _, time in tokens],
        "contents": len(contents),
        "new_contents": new_contents,
        "raw_tokens": len(tokens),
        "spec": "s",
        "category_topic": [[number, -number][: 2 - number % 2] for number in contents],
    }


def batch_of(rows: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """Rows as the reader has them."""
    return pa.RecordBatch.from_pylist(list(rows), schema=SCHEMA)


def engaged(contents: int) -> list[Token]:
    """Contents 1, 2, … with their actions, a second apart, and nothing else."""
    ids = range(1, contents + 1)
    return [token for i in ids for token in ((CONTENT, i, 1000 * i), (ACTION, 0, 1000 * i))]


@st.composite
def timelines(draw: st.DrawFn, most: int = 14) -> list[Token]:
    """Contents, and before and between them entries of two scalars and a set."""
    tokens: list[Token] = []
    members: set[int] = set()
    time = 0
    for content in range(1, draw(st.integers(1, most)) + 1):
        for kind, value in draw(st.lists(_entries, max_size=3)):
            tokens.append((kind, _changed(members, value) if kind in SETS else value, time))
        time += draw(st.sampled_from([0, 0, 1, 1000, 10**9]))
        tokens += [(CONTENT, content, time), (ACTION, content % 4, time)]
    return tokens


_entries = st.tuples(st.integers(FIRST_FEATURE, FIRST_FEATURE + 2), st.integers(1, 3))


def _changed(members: set[int], member: int) -> int:
    """Puts a member in, or takes it out if it is there."""
    members ^= {member}
    return member if member in members else -member


def in_effect(tokens: Sequence[Token], sets: Collection[int]) -> list[set[Token]]:
    """At each content, the entries that say what holds there: of scalars and set members."""
    holds: dict[tuple[int, int], Token] = {}
    found = []
    for kind, number, time in tokens:
        if kind == CONTENT:
            found.append(set(holds.values()))
        elif kind >= FIRST_FEATURE:
            key = (kind, abs(number) if kind in sets else 0)
            if number < 0:
                holds.pop(key, None)
            else:
                holds[key] = (kind, number, time)
    return found


def shortest(
    tokens: Sequence[Token], order: Sequence[int], limit: int, sets: Collection[int]
) -> list[Token]:
    """Of contents in an order of preference as many as fit with their entries, one at least."""
    best = _with(tokens, order[:1], sets)
    for count in range(1, len(order) + 1):
        found = _with(tokens, order[:count], sets)
        if len(found) <= limit:
            best = found
    while len(best) > limit:
        best.remove(next(token for token in best if token[0] >= FIRST_FEATURE))
    return best


def _with(tokens: Sequence[Token], chosen: Collection[int], sets: Collection[int]) -> list[Token]:
    """The tokens of these contents, and the last entry of each key before each of them; removals
    only after an addition."""
    places = [place for place, token in enumerate(tokens) if token[0] == CONTENT]
    kept = {place + step for place in (places[i] for i in chosen) for step in (0, 1)}
    for place in sorted(places[i] for i in chosen):
        last: dict[tuple[int, int], int] = {}
        for at in range(place):
            kind, number, _ = tokens[at]
            if kind >= FIRST_FEATURE:
                last[kind, abs(number) if kind in sets else 0] = at
        kept |= set(last.values())
    return [tokens[at] for at in sorted(kept) if not _takes_back_nothing(tokens, at, kept)]


def _takes_back_nothing(tokens: Sequence[Token], at: int, kept: Collection[int]) -> bool:
    kind, number, _ = tokens[at]
    before = [tokens[place][:2] for place in kept if place < at]
    return number < 0 and (kind, -number) not in before

"""S9: what a sequence holds, and what must be held for later ones."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.core.arrays import NEVER
from transforms.core.entries import Entries, folded, in_one, no_entries, superseded_at
from transforms.core.history import held

IS_SET = np.array([False, False, False, True])  # token types: Φ, a, a scalar, a set
SCALAR, SET = 2, 3
Entry = tuple[int, int, int, int]  # life, at, kind, id


def entries(*rows: Entry) -> Entries:
    """Entries whose times are their places."""
    life, at, kind, ids = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    return Entries(life, at, kind, ids, np.arange(len(rows)))


def kept(
    stop: int, rows: list[Entry], contents: int = 99, tokens: int = 999
) -> tuple[int, list[int]]:
    """The oldest content of the one life's sequence up to `stop`, and its entries' places."""
    those = entries(*rows) if rows else no_entries()
    until = superseded_at(those, IS_SET)
    out = held(np.array([0]), np.array([stop]), those, until, contents, tokens)
    return int(out.oldest[0]), out.entry.tolist()


def test_s9_the_newest_contents_at_most_n() -> None:
    assert kept(5, []) == (0, [])
    assert kept(5, [], contents=5) == (0, [])
    assert kept(5, [], contents=4) == (1, [])


def test_s9_entries_before_the_oldest_are_folded_also_where_nothing_is_cut_off() -> None:
    rows = [(0, 0, SCALAR, 5), (0, 0, SCALAR, 6), (0, 0, SET, 1), (0, 0, SET, 2), (0, 0, SET, -1)]
    assert kept(1, rows) == (0, [1, 3])


def test_s9_entries_between_contents_all_stay() -> None:
    rows = [(0, 1, SCALAR, 5), (0, 1, SCALAR, 6), (0, 1, SET, 1), (0, 2, SET, -1)]
    assert kept(3, rows) == (0, [0, 1, 2, 3])
    assert kept(3, rows, contents=2) == (1, [1, 2, 3])
    assert kept(3, rows, contents=1) == (2, [1])


def test_s9_entries_after_the_last_content_wait() -> None:
    assert kept(1, [(0, 0, SCALAR, 5), (0, 1, SCALAR, 6)]) == (0, [0])


def test_s9_a_null_is_in_effect_and_a_forgotten_member_is_not() -> None:
    assert kept(2, [(0, 0, SCALAR, 5), (0, 1, SCALAR, 0)], contents=1) == (1, [1])
    assert kept(2, [(0, 0, SET, 5), (0, 1, -SET, 5)], contents=1) == (1, [])
    assert kept(2, [(0, 0, SET, 5), (0, 1, -SET, 5)]) == (0, [0])  # and is no token


def test_s9_only_as_many_as_keep_to_m_with_the_head() -> None:
    rows = [(0, 0, SCALAR, 5), (0, 2, SET, 1), (0, 2, SET, 2)]
    assert kept(3, rows, tokens=9) == (0, [0, 1, 2])
    assert kept(3, rows, tokens=8) == (1, [0, 1, 2])
    assert kept(3, rows, tokens=7) == (1, [0, 1, 2])
    assert kept(3, rows, tokens=6) == (2, [0, 1, 2])


def test_s9_at_least_one_content_and_then_the_oldest_head_entries_go() -> None:
    rows = [(0, 0, SCALAR, 5), (0, 0, SET, 1), (0, 1, SET, 2)]
    assert kept(2, rows, tokens=4) == (1, [1, 2])
    assert kept(2, rows, tokens=3) == (1, [2])
    assert kept(2, rows, tokens=2) == (1, [])


def test_s9_lives_are_apart() -> None:
    those = entries((0, 0, SCALAR, 5), (1, 0, SCALAR, 5), (1, 0, SET, 9))
    until = superseded_at(those, IS_SET)
    assert until.tolist() == [NEVER] * 3
    life, stop = np.array([0, 1, 1]), np.array([1, 1, 2])
    out = held(life, stop, those, until, 99, 999)
    assert out.entry.tolist() == [0, 1, 2, 1, 2]
    assert (out.contents.tolist(), out.entries.tolist()) == ([1, 1, 2], [1, 2, 2])
    assert out.tokens.tolist() == [3, 4, 6]


@st.composite
def timelines(draw: st.DrawFn) -> list[Entry]:
    """Entries as the rules keep them: runs of scalars, members that come, go and are forgotten."""
    rows, at = list[Entry](), [0, 0]
    value, members = dict[int, int](), {0: set[int](), 1: set[int]()}
    for _ in range(draw(st.integers(0, 14))):
        life, what = draw(st.integers(0, 1)), draw(st.integers(0, 4))
        at[life] += draw(st.integers(0, 1))
        if what < 2:
            new = draw(st.integers(0, 3))
            if value.get(life) != new:
                value[life] = new
                rows.append((life, at[life], SCALAR, new))
            continue
        one = draw(st.integers(1, 3))
        if one not in members[life]:
            members[life].add(one)
            rows.append((life, at[life], SET, one))
        else:
            members[life].remove(one)
            rows.append((life, at[life], *((SET, -one) if what < 4 else (-SET, one))))
    return sorted(rows, key=lambda row: row[:2])


def naive(
    stop: int, rows: list[tuple[int, Entry]], contents: int, tokens: int
) -> tuple[int, list[int]]:
    """The widest sequence that fits, by trying; rows are of one life, with their places."""
    found = 0, list[int]()
    for oldest in range(stop - 1, max(stop - contents, 0) - 1, -1):
        effect: dict[Any, int] = {}
        between = []
        for place, (_, at, kind, ident) in rows:
            if at >= stop:
                continue
            if at > oldest:
                between += [place] if kind > 0 else []
            elif kind == SCALAR:
                effect[kind] = place
            elif kind > 0 and ident > 0:
                effect[kind, ident] = place
            else:
                effect.pop((SET, abs(ident)))
        head = sorted(effect.values())
        size = 2 * (stop - oldest) + len(head) + len(between)
        if size > tokens and oldest < stop - 1:
            break
        found = oldest, [*head[max(0, size - tokens) :], *between]
    return found


@settings(max_examples=300)
@given(timelines(), st.integers(1, 8), st.integers(1, 8), st.integers(2, 30))
def test_s9_as_a_plain_loop_has_it(
    rows: list[Entry], stop: int, contents: int, tokens: int
) -> None:
    own = {life: [(n, row) for n, row in enumerate(rows) if row[0] == life] for life in (0, 1)}
    those = entries(*rows) if rows else no_entries()
    until = superseded_at(those, IS_SET)
    out = held(np.array([0, 1]), np.array([stop, stop]), those, until, contents, tokens)
    for life in (0, 1):
        got = int(out.oldest[life]), out.entry[out.sequence == life].tolist()
        assert got == naive(stop, own[life], contents, tokens)


@settings(max_examples=200)
@given(timelines(), st.integers(0, 6), st.integers(1, 4), st.integers(2, 30), st.integers(1, 4))
def test_s9_what_folding_leaves_out_no_later_sequence_holds(
    rows: list[Entry], done: int, contents: int, tokens: int, more: int
) -> None:
    """`done` contents so far; a later sequence ends `more` contents on, and holds N at most."""
    those = entries(*rows) if rows else no_entries()
    until = superseded_at(those, IS_SET)
    oldest = np.full(2, max(done + 1 - contents, 0))
    left = folded(those, until, oldest)
    life, stop = np.array([0, 1]), np.array([done + more] * 2)
    whole = held(life, stop, those, until, contents, tokens)
    part = held(life, stop, left, superseded_at(left, IS_SET), contents, tokens)
    assert part.oldest.tolist() == whole.oldest.tolist()
    assert left.time[part.entry].tolist() == those.time[whole.entry].tolist()


def test_entries_by_life_those_of_earlier_parts_first() -> None:
    one, other = entries((0, 1, 2, 5), (1, 1, 2, 6)), entries((0, 2, 2, 7), (1, 2, 2, 8))
    assert in_one([one, other]).id.tolist() == [5, 7, 6, 8]
    assert in_one([one]) is one


@pytest.mark.parametrize(("ident", "effective"), [(5, True), (0, True), (-5, False)])
def test_only_a_value_or_an_adding_can_be_in_effect(ident: int, effective: bool) -> None:
    assert entries((0, 0, SET, ident)).effective.tolist() == [effective]
    assert entries((0, 0, -SET, 5)).effective.tolist() == [False]
    assert entries((0, 0, -SET, 5)).visible.tolist() == [False]

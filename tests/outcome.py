"""What the code makes of raw records, and what the oracle makes of them, in one form."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from tests.machine import Machine, Raw, decode, observations, spec_of
from tests.oracles import oracle
from transforms.core.decode.decoded import Decoded

Row = dict[str, Any]
Rows = dict[str, Row]
Void = Iterable[tuple[str, int]]


@dataclass
class Outcome:
    """All that a run gives: sequences by their id; rejects as (source, index, reason)."""

    sequences: Rows
    tombstones: set[tuple[str, int]]
    duplicates: int
    rejected: Counter[tuple[str, int, str]]
    filtered: Counter[str] = field(default_factory=Counter)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    dictionary: set[tuple[str, int, str]] = field(default_factory=set)


def expected(spec: Mapping[str, Any], sources: Mapping[str, Sequence[Raw]]) -> Outcome:
    """What the oracle gives."""
    result = oracle.sequences(dict(spec), sources)
    return Outcome(
        by_id(result.sequences),
        result.tombstones,
        result.duplicates,
        Counter(result.rejected),
        result.filtered,
        result.dropped,
        result.dictionary,
    )


def found(spec: Mapping[str, Any], sources: Mapping[str, Sequence[Raw]]) -> Outcome:
    """What the code gives in one firing."""
    parsed = spec_of(spec)
    parts, machine = dict(zip(sources, decode(parsed, sources), strict=True)), Machine(parsed)
    rows = by_id(machine.fire(observations(parsed, parts.values())))
    return Outcome(rows, machine.tombstones, machine.copies, *account(parts))


def account(parts: Mapping[str, Decoded]) -> tuple[Any, Any, Any, Any]:
    """The rejects, the filtered, the dropped and the dictionary of decoded sources."""
    rejected = Counter(
        (name, row["line"] - 1, row["reason"])
        for name, part in parts.items()
        for row in part.rejected.to_pylist()
    )
    filtered = Counter({name: part.filtered for name, part in parts.items()})
    dropped = Counter(
        {
            (name, path): len(places)
            for name, part in parts.items()
            for path, places in part.dropped.items()
        }
    )
    names = [part.names for part in parts.values()]
    texts = {(kind, number, text) for each in names for (kind, number), text in each.items()}
    return rejected, filtered, dropped, texts


def by_id(rows: Iterable[Row], void: Void = ()) -> Rows:
    """Sequences by their id, each there once, without those that an erasure voids."""
    out: Rows = {}
    for row in rows:
        if any(row["user_id"] == user and row["session_end"] <= time for user, time in void):
            continue
        assert row["sequence_id"] not in out, row
        out[row["sequence_id"]] = {name: row[name] for name in row if name != "spec"}
    return out


def differences(got: Outcome, want: Outcome) -> list[str]:
    """What differs, sequence by sequence and column by column."""
    out = different_rows(got.sequences, want.sequences)
    for one in fields(Outcome):
        if one.name != "sequences" and getattr(got, one.name) != getattr(want, one.name):
            out.append(f"{one.name}: {getattr(got, one.name)} is not {getattr(want, one.name)}")
    return out


def different_rows(got: Rows, want: Rows) -> list[str]:
    """What differs between sequences."""
    out = [f"missing: {want[name]}" for name in want.keys() - got.keys()]
    out += [f"too many: {got[name]}" for name in got.keys() - want.keys()]
    for name in got.keys() & want.keys():
        columns = got[name].keys() | want[name].keys()
        for column in sorted(columns):
            here, there = got[name].get(column), want[name].get(column)
            if here != there:
                out.append(f"{column} of {name}: {here} is not {there}")
    return out

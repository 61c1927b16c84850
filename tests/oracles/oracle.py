"""S10, S11, S14 and the columns: what raw records of bounded input give, all rules applied."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import xxhash

from tests.oracles.compression import Entry, Group, entries_of, groups_of
from tests.oracles.history import Held, held, sessions_of
from tests.oracles.mapping import map_record
from tests.oracles.observations import Engagement, Mapped, Named, Observation
from tests.oracles.order import by_user, histories, without_copies
from tests.oracles.raw import RejectionError, is_blank, parse
from tests.oracles.settings import Settings, settings_of
from tests.oracles.text import hash_of

Row = dict[str, Any]
Raw = bytes | dict[str, Any]


@dataclass
class Result:
    """All that a run gives; times are ms since 1970, `index` counts a source's raw records from 0.

    dropped counts the fields not null under `dropped`, by (source, field), copies included.
    dictionary holds the hashed ids of every accepted record, copies and erased ones included.
    """

    sequences: list[Row] = field(default_factory=list)  # by user, then in order of time
    rejected: list[tuple[str, int, str]] = field(default_factory=list)  # source, index, reason
    accepted: int = 0  # records, copies and those that yield nothing included
    duplicates: int = 0
    tombstones: set[tuple[str, int]] = field(default_factory=set)  # user, time
    filtered: Counter[str] = field(default_factory=Counter)  # by source
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    dictionary: set[tuple[str, int, str]] = field(default_factory=set)  # kind, id, text


def sequences(
    spec: dict[str, Any],
    sources: Mapping[str, Sequence[Raw]],
    tombstones: Sequence[tuple[str, int]] = (),
) -> Result:
    """The sequences of bounded input, and the account of every raw record.

    spec: as its YAML reads. sources: raw records by source, as JSON bytes or parsed.
    tombstones: Kafka tombstones, as (user, time in ms).
    """
    settings, result = settings_of(spec), Result()
    records = [
        record
        for name, raws in sources.items()
        for record in _accepted(spec, settings, name, raws, result)
    ]
    once = without_copies(records)
    result.accepted, result.duplicates = len(records), len(records) - len(once)
    erased = [(r.user, r.time) for r in once if spec["sources"][r.source].get("erase")]
    result.tombstones = {*erased, *tombstones}
    for user, ordered in by_user(once, tombstones).items():
        for history in histories(ordered, settings.retention):
            result.sequences += _of_history(settings, user, history)
    return result


def _accepted(
    spec: dict[str, Any], settings: Settings, name: str, raws: Sequence[Raw], result: Result
) -> Iterator[Mapped]:
    """Records: the accepted ones of a source, and the account of all."""
    for index, raw in enumerate(raws):
        if is_blank(raw):
            continue
        try:
            value = parse(raw, spec.get("limits", {}).get("record_bytes", 1_000_000))
            record = map_record(settings, name, spec["sources"][name], value)
        except RejectionError as rejection:
            result.rejected.append((name, index, rejection.args[0]))
            continue
        if record is None:
            result.filtered[name] += 1
            continue
        result.dropped.update((name, path) for path in record.dropped)
        result.dictionary |= record.texts
        yield record


def _of_history(settings: Settings, user: str, history: list[Observation]) -> list[Row]:
    """S10: each session emits one sequence: the history up to its last engagement."""
    groups, entries = groups_of(history, settings.attribution), entries_of(settings, history)
    rows, done = [], 0
    for session in sessions_of(settings, groups, history):
        done += len(session)
        last = session[-1].first.place
        up_to = held(settings, groups[:done], [one for one in entries if one.place < last])
        row = {
            **_of_session(user, session),
            **_tokens(settings, up_to),
            "raw_tokens": sum(_raw_tokens(one) for one in history if one.place <= last),
        }
        rows += [row] if _drawn(settings, row) else []
    return rows


def _of_session(user: str, session: list[Group]) -> Row:
    """S11 and the columns that tell of the completed session."""
    first = session[0].first
    return {
        "user_id": user,
        "sequence_id": hash_of([user, first.source, first.event_id, first.place.time]),
        "session_start": session[0].time,
        "session_end": session[-1].time,
        "new_contents": len(session),
    }


def _tokens(settings: Settings, sequence: Held) -> Row:
    """S7 and the columns of tokens: the head, then contents and entries in S2 order."""
    body: list[Entry | Group] = [*sequence.between, *sequence.groups]
    body.sort(key=lambda one: one.place if isinstance(one, Entry) else one.first.place)
    tokens = [token for one in [*sequence.head, *body] for token in _tokens_of(one)]
    categories = {
        f"category_{name}": [group.categories[name] for group in sequence.groups]
        for name in settings.categories
    }
    return {
        "token_type": [kind for kind, _, _ in tokens],
        "token_id": [identity for _, identity, _ in tokens],
        "token_time": [time for _, _, time in tokens],
        "contents": len(sequence.groups),
        **categories,
    }


def _tokens_of(one: Entry | Group) -> list[tuple[int, int, int]]:
    """S7: (type, id, time) of an entry's one token, or of an engagement's two."""
    if isinstance(one, Entry):
        return [(2 + one.place.feature, one.token_id, one.place.time)]
    return [(0, one.item, one.time), (1, one.actions, one.time)]


def _raw_tokens(one: Observation) -> int:
    """Columns, raw_tokens: what an observation would be without S4, S5, S6 and S9."""
    if isinstance(one.what, Named):
        return len(one.what.added) + len(one.what.removed)
    return 2 if isinstance(one.what, Engagement) else int(one.place.rank == 0)


def _drawn(settings: Settings, row: Row) -> bool:
    """S14: whether the draw, xxh3-64 / 2^64, is below min(1, c / n); reckoned in integers."""
    if settings.sampling is None:
        return True
    budget, seed = settings.sampling
    draw = xxhash.xxh3_64_intdigest(f"{seed}:{row['sequence_id']}".encode())
    return draw * len(row["token_type"]) < budget * 2**64

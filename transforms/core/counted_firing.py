"""What is counted of a firing: tokens before and after, contents, sessions, sequences, users.

All of it is of what the firing used up: what is in a complete session, or stands before the first
that is not. So it does not depend on when a shard fires.
"""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import numpy.typing as npt

from schemas.ids import canonical_json, id_of
from schemas.observations import source_names
from schemas.sequences import FIRST_FEATURE
from schemas.spec import Spec
from transforms.core.arrays import Ints, flags, ints, is_first, place_in_run
from transforms.core.buckets import SIZES, TIMES
from transforms.core.cut import Tally
from transforms.core.entries import successors
from transforms.core.features import is_set, observed_values
from transforms.core.sketches import sketches_by
from transforms.core.statistics import CONTENTS, DAY, Counts, by_bucket, by_day, by_hour, unplaced


def of_firing(tally: Tally, spec: Spec) -> Iterator[Counts]:
    """Everything that is counted of a firing; of each at least that it was, by which it is known
    where a shard began anew."""
    yield unplaced("firings", np.zeros(1, np.int64), np.ones(1))
    for name, count in zip(source_names(spec), tally.opened.copies.tolist(), strict=True):
        yield unplaced("copies", np.zeros(1, np.int64), np.array([count]), source=name)
    yield from _of_tokens(tally, spec)
    yield from _of_runs(tally, spec)
    yield from _of_contents(tally, spec)
    yield from _of_joining(tally, spec)
    yield from _of_sessions(tally)
    yield from _of_sequences(tally)
    yield from _of_lengths(tally, spec)
    yield from _of_users(tally)


def _of_tokens(tally: Tally, spec: Spec) -> Iterator[Counts]:
    """Raw tokens and kept ones, by feature, and the values that were kept."""
    seen, found, kept = tally.opened.seen, tally.engaged, tally.kept
    records = found.records_used(seen) & (seen.engages | flags(seen.rows["joined"]))
    used = found.features_used(seen)
    groups = found.groups.time[found.complete]
    yield by_hour("tokens_raw", seen.time, 2 * records, feature=CONTENTS)
    yield by_hour("tokens_kept", groups, np.full(len(groups), 2), feature=CONTENTS)
    for kind, name in enumerate(spec.features, FIRST_FEATURE):
        mine = np.flatnonzero(kept.kind == kind)
        raw = observed_values(seen.rows, spec, name) * used
        yield by_hour("tokens_raw", seen.time, raw, feature=name)
        yield by_hour("tokens_kept", kept.time[mine], feature=name)
        begun = mine[kept.id[mine] >= 0]
        yield _sketched("values", kept.time[begun], kept.id[begun], feature=name)


def _of_runs(tally: Tally, spec: Spec) -> Iterator[Counts]:
    """How long values held that an entry of this firing replaced."""
    entries, standing = tally.entries, tally.opened.standing
    held = np.bincount(standing.entries.life, minlength=tally.opened.seen.lives)
    is_new = place_in_run(is_first(entries.life)) >= held[entries.life]
    following = successors(entries, is_set(spec))
    ended = np.flatnonzero(entries.effective & (following >= 0) & is_new[following])
    after = following[ended]
    contents, lasted = (values[after] - values[ended] for values in (entries.at, entries.time))
    for kind, name in enumerate(spec.features, FIRST_FEATURE):
        mine = entries.kind[ended] == kind
        time = entries.time[after[mine]]
        yield from by_bucket({"run_contents": None}, time, contents[mine], SIZES, feature=name)
        yield from by_bucket({"run_duration": None}, time, lasted[mine], TIMES, feature=name)


def _of_contents(tally: Tally, spec: Spec) -> Iterator[Counts]:
    """Contents by their actions, the pauses between them, and which they are."""
    groups, found = tally.engaged.groups, tally.engaged
    time, actions = groups.time[found.complete], groups.actions[found.complete]
    yield by_day("impressions", time[actions == 0])
    has = {name: (actions >> bit) & 1 == 1 for bit, name in enumerate(spec.actions)}
    has = {name: there for name, there in has.items() if there.any()}
    for name, there in has.items():
        yield by_day("actions", time[there], key=name)
    for one, other in combinations(has, 2):
        both = has[one] & has[other]
        yield by_day("action_pairs", time[both], key=canonical_json([one, other]))
    follows = np.ones(len(groups.time), bool)
    follows[found.sessions.first] = False
    later = np.flatnonzero(follows & found.complete)
    pause = groups.time[later] - groups.time[later - 1]
    yield from by_bucket({"content_gap": None}, groups.time[later], pause, TIMES)
    yield _sketched("items", time, groups.item[found.complete])


def _of_joining(tally: Tally, spec: Spec) -> Iterator[Counts]:
    """Engagement records that joined an earlier one of a complete session (S4)."""
    if not spec.attribution:
        return
    seen, groups = tally.opened.seen, tally.engaged.groups
    joins = groups.of_row >= 0
    joins[groups.row] = False
    row = np.flatnonzero(joins)
    row = row[tally.engaged.complete[groups.of_row[row]]]
    group = groups.of_row[row]
    source, time = ints(seen.rows["source"]), seen.time[row]
    names, sources = source_names(spec), len(spec.sources)
    pair = source[row] * sources + source[groups.row[group]]
    for number in np.unique(pair).tolist():
        joined, first = divmod(number, sources)
        mine = pair == number
        yield by_day("joined", time[mine], source=names[joined], key=names[first])
    yield from by_bucket({"join_delay": None}, time, time - groups.time[group], TIMES)


def _of_sessions(tally: Tally) -> Iterator[Counts]:
    done = tally.completed
    end = done.end
    yield by_hour("sessions", end)
    yield by_hour("first_sessions", end[done.stop == done.new_contents])
    yield by_hour("new_contents", end, done.new_contents)
    yield from by_bucket({"session_contents": None}, end, done.new_contents, SIZES)
    yield from by_bucket({"session_duration": None}, end, end - done.start, TIMES)
    history = {"history_contents": None, "history_contents_sum": done.stop}
    yield from by_bucket(history, end, done.stop, SIZES)


def _of_sequences(tally: Tally) -> Iterator[Counts]:
    """The sequences of this firing in sums."""
    drawn, held, end = tally.drawn, tally.held, tally.drawn.end
    tokens, raw = held.tokens.astype(float), drawn.raw_tokens.astype(float)
    is_head = tally.entries.at[held.entry] <= held.oldest[held.sequence]
    head = np.bincount(held.sequence, is_head, len(end))
    yield by_hour("sequences", end)
    yield by_hour("sequence_tokens", end, tokens)
    yield by_hour("sequence_raw_tokens", end, raw)
    yield by_hour("sequence_cost", end, tokens**2)
    yield by_hour("sequence_raw_cost", end, raw**2)
    yield by_hour("sequences_cut", end[held.oldest > 0])
    yield by_hour("contents_cut", end, held.oldest)
    yield by_hour("sequences_folded", end[head > 0])
    yield by_hour("head_tokens", end, head)


def _of_lengths(tally: Tally, spec: Spec) -> Iterator[Counts]:
    """The sequences of this firing by their lengths, and by the pauses before their sessions."""
    drawn, held, end = tally.drawn, tally.held, tally.drawn.end
    yield from by_bucket(_moments("sequence_length", held.tokens, spec), end, held.tokens, SIZES)
    raw = drawn.raw_tokens
    yield from by_bucket(_moments("sequence_raw_length", raw), end, raw, SIZES)
    yield from by_bucket({"sequence_contents": None}, end, held.contents, SIZES)
    there = tally.pause >= 0
    start = drawn.start[there]
    yield from by_bucket({"session_gap": None}, start, tally.pause[there], TIMES)


def _moments(
    name: str, tokens: Ints, spec: Spec | None = None
) -> dict[str, npt.NDArray[np.generic] | None]:
    values = tokens.astype(float)
    moments = {name: None, f"{name}_tokens": values, f"{name}_cost": values**2}
    if spec is not None and spec.sampling is not None:
        moments[f"{name}_sessions"] = np.maximum(values / spec.sampling.tokens, 1)
    return moments


def _of_users(tally: Tally) -> Iterator[Counts]:
    """The histories that began, and the users who had contents."""
    seen, found = tally.opened.seen, tally.engaged
    yield by_hour("new_users", seen.time[seen.opening[tally.opened.standing.slot < 0]])
    life, time = found.groups.life[found.complete], found.groups.time[found.complete]
    once = is_first(time // DAY, life)
    ids = np.array([id_of(user) for user in tally.opened.users.to_pylist()], np.int64)
    yield _sketched("users", time[once], ids[life[once]])


def _sketched(
    measure: str,
    time: Ints,
    member: Ints,
    feature: str | None = None,
) -> Counts:
    """By day the sketch of what was there at these times."""
    day, sketches = sketches_by(time // DAY, member)
    return Counts(measure, day * DAY, sketches, DAY, feature=feature)

"""The figures of a page, each in a plain loop over what happened: rows of cells, in any order.

Buckets are told by their ends, and windows by their first ms.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import combinations
from math import ceil
from typing import Any

from tests.oracles.counting import _SECONDS, DAY, size_key, time_key
from tests.oracles.happened import Happened

Rows = list[tuple[Any, ...]]
STEPS = (1, 7, 28, 91, 364, 3640)
MOST_WINDOWS = 62


def windows(now: Happened) -> Callable[[int], int]:
    """The window of a time: of as many days as keep all windows few."""
    times = [t for _, t in now.accepted] + [t for *_, t in now.rejected if t is not None]
    days = [time // DAY for time in times]
    span = max(days) - min(days) + 1
    length = DAY * next(step for step in STEPS if span <= step * MOST_WINDOWS)
    return lambda time: time // length * length


def size(number: int) -> float:
    """The end of a size's bucket."""
    return float(size_key(number))


def seconds(ms: int) -> float:
    """The end of a time's bucket."""
    return float(time_key(ms))


def spread(values: Iterable[float]) -> Rows:
    """Each value, how many there are of it, and the share of all up to it."""
    found = Counter(values)
    return [
        (end, float(n), sum(m for other, m in found.items() if other <= end) / found.total())
        for end, n in found.items()
    ]


def quantile(values: list[int], share: float, bucket: Callable[[int], float]) -> float:
    """The end of the bucket of the least value that so many are not above."""
    return bucket(sorted(values)[max(ceil(share * len(values)), 1) - 1])


def axis(most: float) -> list[float]:
    """The ends of times' buckets from 1 s, to the first one that nothing is above."""
    ends = [float(s) for s in _SECONDS if s >= 1]
    return [end for end in ends if end < most] + [end for end in ends if end >= most][:1]


def part(value: float, whole: float) -> float | None:
    """A share or a ratio; None of nothing."""
    return value / whole if whole else None


def saved(now: Happened) -> Rows:
    """Tokens raw and kept by feature."""
    raw, kept = (_by(each, 1, 2) for each in (now.raw, now.kept))
    whole = raw.total() - kept.total()
    return [
        (name, n, kept[name], n - kept[name], part(n - kept[name], whole), part(n, kept[name]))
        for name, n in raw.items()
    ]


def saved_over_time(now: Happened) -> Rows:
    """Tokens raw and kept by window."""
    window = windows(now)
    found: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for place, each in enumerate((now.raw, now.kept)):
        for time, _, tokens in each:
            found[window(time)][place] += tokens
    return [(when, raw, kept, part(raw, kept)) for when, (raw, kept) in found.items()]


def held(now: Happened) -> Rows:
    """How long a value holds, in contents and in time."""
    rows = []
    for name in {name for name, *_ in now.held}:
        mine = [(contents, ms) for feature, contents, ms in now.held if feature == name]
        contents, times = [c for c, _ in mine], [ms for _, ms in mine]
        of = [quantile(contents, share, size) for share in (0.5, 0.9)]
        of += [quantile(times, share, seconds) for share in (0.5, 0.9)]
        rows.append((name, float(len(mine)), *of))
    return rows


def with_gap(now: Happened) -> Rows:
    """Sessions with another gap, of the pauses as they are; of those between sessions, only where
    the sequence of the later one holds more than it."""
    shown = {row["sequence_id"]: row for row in now.sequences}
    within = [pause for session in now.sessions.values() for pause in session.pauses]
    between = [
        session.before
        for name, session in now.sessions.items()
        if session.before is not None
        and name in shown
        and shown[name]["contents"] > session.contents
    ]
    gap = now.settings.gap
    contents, rows = len(now.contents), []
    for end in axis(max(map(seconds, within + between), default=0)) if within + between else []:
        many = len(now.sessions) + sum(pause > end * 1000 for pause in within)
        many -= sum(gap / 1000 < seconds(pause) <= end for pause in between)
        rows.append((end, many, part(contents, many)))
    return rows


def with_contents(now: Happened) -> Rows:
    """Histories with another N."""
    done = [session.done for session in now.sessions.values()]
    return [
        (n, sum(min(each, n) for each in done), sum(min(each, n) for each in done) / sum(done))
        for n in set(map(size, done))
    ]


def sessions_over_time(now: Happened) -> Rows:
    """Sessions, and first ones, by window."""
    window = windows(now)
    found: dict[int, list[int]] = defaultdict(lambda: [0, 0])
    for session in now.sessions.values():
        found[window(session.end)][0] += 1
        found[window(session.end)][1] += session.first
    return [(when, *each) for when, each in found.items()]


def cut(now: Happened) -> Rows:
    """What N and M did."""
    lacks = [now.sessions[row["sequence_id"]].done - row["contents"] for row in now.sequences]
    heads = [row["token_type"].index(0) for row in now.sequences]
    return [
        ("Sequences", len(now.sequences)),
        ("of them cut", sum(lack > 0 for lack in lacks)),
        ("contents that these lack", sum(lacks)),
        ("with a head", sum(head > 0 for head in heads)),
        ("tokens of heads", sum(heads)),
    ]


def fates(now: Happened) -> Rows:
    """What became of the records of each source; of files nothing is late."""
    accepted = Counter(source for source, _ in now.accepted)
    rejected = Counter(source for source, *_ in now.rejected)
    of = (accepted, now.filtered, rejected, Counter[str](), now.copies, now.bytes)
    names = {name for each in of for name, n in each.items() if n}
    return [(name, *(each[name] for each in of)) for name in names]


def reasons(now: Happened) -> Rows:
    """Why records were rejected, and their share of those of the source."""
    found = Counter((source, reason) for source, reason, _ in now.rejected)
    whole = Counter([source for source, _ in now.accepted] + [s for s, *_ in now.rejected])
    return [(*names, float(n), n / whole[names[0]]) for names, n in found.items()]


def rejected_over_time(now: Happened) -> Rows:
    """Rejected records by window, a column a reason, the most frequent first; at most six."""
    names = Counter(reason for _, reason, _ in now.rejected)
    first = sorted(names, key=lambda name: (-names[name], name))[:6]
    window = windows(now) if now.accepted or now.rejected else None
    known = [(r, t) for _, r, t in now.rejected if t is not None and r in first]
    found = Counter((window(t), r) for r, t in known) if window else Counter()
    return [(when, *(found[when, r] for r in first)) for when in {when for when, _ in found}]


def examples(now: Happened) -> Counter[tuple[str, str]]:
    """How many examples there are of each source and reason."""
    found = Counter((source, reason) for source, reason, _ in now.rejected)
    return Counter({names: min(n, 3) for names, n in found.items()})


def came(now: Happened, of: list[tuple[int, Any]]) -> Rows:
    """By window how many there were, how many of them new, returning, known so far, and the share
    of them that was in the window before."""
    window = windows(now)
    found: dict[int, set[Any]] = defaultdict(set)
    for time, one in of:
        found[window(time)].add(one)
    known: set[Any] = set()
    before: set[Any] | None = None
    rows: Rows = []
    for when, there in sorted(found.items()):
        new = len(there - known)
        known = known | there
        also = None if before is None else len(there & before) / len(there)
        rows.append((when, len(there), new, len(there) - new, len(known), also))
        before = there
    return rows


def items(now: Happened) -> Rows:
    """Contents by window."""
    return came(now, [(content.time, content.item) for content in now.contents])


def users(now: Happened) -> Rows:
    """Users with contents by window."""
    return came(now, [(content.time, content.user) for content in now.contents])


def known(now: Happened) -> Rows:
    """Contents and users known by window."""
    return [(row[0], row[4], other[4]) for row, other in zip(items(now), users(now), strict=True)]


def values(now: Happened) -> Rows:
    """Values known by feature, and those of its last window."""
    rows = []
    for name in {name for _, name, _ in now.values}:
        last = came(now, [(time, one) for time, feature, one in now.values if feature == name])[-1]
        rows.append((name, last[4], last[0], last[1], last[2], last[5]))
    return rows


def lengths(now: Happened) -> list[int]:
    """The tokens of each sequence."""
    return [len(row["token_type"]) for row in now.sequences]


def at_c(now: Happened) -> Rows:
    """What training costs and reads in expectation at each c, and the shares of all."""
    of, rows = lengths(now), []
    for c in set(map(size, of)):
        cost, read = sum(n * n * min(1, c / n) for n in of), sum(n * min(1, c / n) for n in of)
        rows.append((c, cost, cost / sum(n * n for n in of), read, read / sum(of)))
    return rows


def at_c_raw(now: Happened) -> Rows:
    """The same cost of the sequences without compression, in times of all that is compressed."""
    raw = [row["raw_tokens"] for row in now.sequences]
    whole, rows = sum(n * n for n in lengths(now)), []
    for c in set(map(size, raw)):
        cost = sum(n * n * min(1, c / n) for n in raw)
        rows.append((c, cost, part(cost, whole)))
    return rows


def by_length(now: Happened) -> Rows:
    """Sequences and their cost by length, and the share of the cost up to it."""
    of = lengths(now)
    whole = sum(n * n for n in of)
    return [
        (end, sum(size(n) == end for n in of), sum(n * n for n in of if size(n) == end),
         sum(n * n for n in of if size(n) <= end) / whole)
        for end in set(map(size, of))
    ]  # fmt: skip


def sequences_over_time(now: Happened) -> Rows:
    """Sequences, raw tokens and tokens by window."""
    window = windows(now)
    found: dict[int, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row in now.sequences:
        of = (1, row["raw_tokens"], len(row["token_type"]))
        when = window(row["session_end"])
        found[when] = [was + more for was, more in zip(found[when], of, strict=True)]
    return [(when, *each) for when, each in found.items()]


def actions(now: Happened) -> Rows:
    """Contents by action, and the share of all."""
    found = Counter(name for content in now.contents for name in content.actions)
    found += Counter("no action" for content in now.contents if not content.actions)
    return [(name, n, n / len(now.contents)) for name, n in found.items()]


def together(now: Happened) -> Rows:
    """Of the contents with one action the share with each other."""
    alone: Counter[str] = Counter()
    both: Counter[frozenset[str]] = Counter()
    for content in now.contents:
        alone.update(content.actions)
        both.update(frozenset(pair) for pair in combinations(content.actions, 2))
    names = [name for name in now.settings.actions if alone[name]]
    return [
        (one, *(1.0 if one == two else both[frozenset((one, two))] / alone[one] for two in names))
        for one in names
    ]


def _by(rows: list[tuple[int, str, int]], name: int, value: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for row in rows:
        found[str(row[name])] += int(row[value])
    return found


def longest(now: Happened) -> Rows:
    """What the longest users have: the newest sequence of each user."""
    newest = {row["user_id"]: len(row["token_type"]) for row in now.sequences}
    tokens, rows = sorted(newest.values(), reverse=True), []
    for share in (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0) if tokens else ():
        top = tokens[: max(1, round(share * len(tokens)))]
        cost = sum(n * n for n in top) / sum(n * n for n in tokens)
        rows.append((share, len(top), sum(top) / sum(tokens), cost))
    return rows


FIGURES: dict[str, Callable[[Happened], Rows]] = {
    "Tokens raw and kept, by feature": saved,
    "Tokens over time": saved_over_time,
    "How long a value holds": held,
    "What the longest users have": longest,
    "Sessions with another gap": with_gap,
    "Histories with another N": with_contents,
    "Contents of a session": lambda now: spread(size(s.contents) for s in now.sessions.values()),
    "How long a session lasts": lambda now: spread(
        seconds(s.end - s.start) for s in now.sessions.values()
    ),
    "Sessions over time": sessions_over_time,
    "Histories that were cut": cut,
    "What became of the records": fates,
    "Why records were rejected": reasons,
    "Rejected over time": rejected_over_time,
    "Numbers left out by name": lambda now: [(*names, n) for names, n in now.dropped.items()],
    "Contents": items,
    "Users": users,
    "Contents and users known": known,
    "Values of features": values,
    "Cost at each c": at_c,
    "Cost at each c, uncompressed": at_c_raw,
    "Sequences by length": by_length,
    "Where the cost is": by_length,
    "Sequences over time": sequences_over_time,
    "Actions": actions,
    "Actions that come together": together,
    "What joined by attribution": lambda now: [
        (*names, n) for names, n in Counter(joined[:2] for joined in now.joined).items()
    ],
    "How soon actions follow": lambda now: spread(seconds(ms) for *_, ms in now.joined),
}
"""Every figure of a page of files but that on late records, of which files have none, the users
and the examples."""


def facts(now: Happened) -> dict[str, float | None]:
    """The numbers at the top of the page."""
    raw, kept = (sum(tokens for *_, tokens in each) for each in (now.raw, now.kept))
    cost = sum(n * n for n in lengths(now))
    return {
        "Records accepted": len(now.accepted),
        "Rejected": len(now.rejected),
        "Late": 0,
        "Users": len({content.user for content in now.contents}),
        "Contents": len({content.item for content in now.contents}),
        "Sessions": len(now.sessions),
        "Sequences": len(now.sequences),
        "Raw tokens to one kept": part(raw, kept),
        "Attention costs less": part(sum(row["raw_tokens"] ** 2 for row in now.sequences), cost),
    }

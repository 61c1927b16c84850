"""What the strategies draw is valid, and the rules are met often enough to be tested by it."""

import json
from collections import Counter

from hypothesis import HealthCheck, Phase, given, settings

from tests.oracles import oracle
from tests.strategies import Case, as_jsonl, cases, damaged_lines
from tests.strategies.census import happenings

OFTEN = {  # each in more than 5 % of cases
    "bad_time", "bad_type", "closed by end", "closed by gap", "closed full", "copies alike",
    "copies unlike", "cut by M", "cut by N", "end at its time", "entries between",
    "erasure of something", "erasure, then more", "eviction", "filtered", "fold",
    "fold after a cut", "head", "head over M", "join", "joiner after the last",
    "joiner in a later session", "M met exactly", "missing_time", "missing_user", "removal",
    "retention", "retention +0", "run of null", "run or no change", "several contents",
    "unknown_action", "wait gap +0", "wait gap +1",
}  # fmt: skip
ALL = settings(
    max_examples=200,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def test_much_happens_in_cases() -> None:
    seen: Counter[str] = Counter()

    @ALL
    @given(cases())
    def look(case: Case) -> None:
        seen.update({"cases", *happenings(*case)})

    look()
    rare = {name: seen[name] for name in OFTEN if seen[name] <= seen["cases"] * 0.05}
    assert not rare


@settings(ALL, max_examples=40)
@given(cases())
def test_parsed_records_and_their_lines_agree(case: Case) -> None:
    spec, sources = case
    lines = {name: as_jsonl([*records]).splitlines() for name, records in sources.items()}
    assert oracle.sequences(spec, lines) == oracle.sequences(spec, sources)


@settings(ALL, max_examples=40)
@given(cases())
def test_sequences_keep_their_bounds(case: Case) -> None:
    spec, sources = case
    contents = spec["history"]["contents"]
    for row in oracle.sequences(spec, sources).sequences:
        assert 1 <= row["contents"] <= contents
        assert len(row["token_id"]) <= spec["history"].get("tokens", 4 * contents)
        assert row["token_type"].count(0) == row["token_type"].count(1) == row["contents"]
        assert row["token_time"] == sorted(row["token_time"])
        assert row["raw_tokens"] >= 2 * row["new_contents"]


@given(damaged_lines())
def test_damaged_lines_are_rejected_or_blank(line: bytes) -> None:
    result = oracle.sequences({**_BARE}, {"e": [line]})
    assert result.accepted == 0
    assert len(result.rejected) == bool(line.strip())


_BARE = json.loads('{"version": 1, "name": "bare", "sources": {"e": {"user": "u", "time": "t"}}}')

"""The page's numbers, each from raw records in plain loops: what if, what was saved, by whom."""

import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings

from pipeline.report.folder import NothingYet, ReportError, open_folder
from pipeline.report.page import Report, page, report_of
from pipeline.report.tables import Table, written
from schemas.load import SPEC_FILE, spec_text
from schemas.outputs import STATISTICS, output_schemas
from schemas.spec import Spec
from tests.machine import Machine, decode, observations, spec_of
from tests.oracles import oracle, shop
from tests.oracles.compression import Group, groups_of
from tests.oracles.counting import Counted, counted, size_key
from tests.oracles.history import sessions_of
from tests.oracles.observations import Observation
from tests.oracles.order import by_user, histories, without_copies
from tests.oracles.settings import Settings, settings_of
from tests.strategies import Case, cases
from tests.transforms.core.test_counting import counts


def report(case: Case) -> Report:
    """The report on what the rules make of a case, by way of a folder."""
    with tempfile.TemporaryDirectory() as name:
        return report_of(open_folder(folder_of(case, Path(name))))


def folder_of(case: Case, path: Path) -> Path:
    """What the rules make of a case, as a run would write it."""
    parsed = spec_of(case[0])
    machine, parts = Machine(parsed), decode(parsed, case[1])
    rows = [{**row, "spec": "0" * 16} for row in machine.fire(observations(parsed, parts))]
    gone = [{"user_id": user, "time": time} for user, time in machine.tombstones]
    schemas = output_schemas(parsed)
    tables = {
        "sequences": pa.Table.from_pylist(rows, schema=schemas["sequences"]),
        "tombstones": pa.Table.from_pylist(gone, schema=schemas["tombstones"]),
        "statistics": counts(case),
        "rejected": pa.concat_tables(
            [schemas["rejected"].empty_table(), *(part.rejected for part in parts)]
        ),
    }
    return folder_with(path, parsed, tables)


def folder_with(path: Path, spec: Spec, tables: Mapping[str, pa.Table]) -> Path:
    """A folder of these outputs; the others are empty."""
    for name, schema in output_schemas(spec).items():
        (path / name).mkdir()
        pq.write_table(tables.get(name, schema.empty_table()), path / name / "part.parquet")
    (path / SPEC_FILE).write_text(spec_text(spec), encoding="utf-8")
    return path


def table(told: Report, title: str) -> Table:
    return next(f.table for s in told.sections for f in s.figures if f.title == title)


def lives_of(case: Case) -> list[tuple[Settings, list[Observation], list[Group]]]:
    """The histories of all users, with their contents."""
    spec, sources = case
    chosen, result = settings_of(spec), oracle.Result()
    records = [
        record
        for name, raws in sources.items()
        for record in oracle._accepted(spec, chosen, name, raws, result)
    ]
    each = [h for o in by_user(without_copies(records), ()).values()
            for h in histories(o, chosen.retention)]  # fmt: skip
    return [(chosen, h, groups_of(h, chosen.attribution)) for h in each]


def sums(want: Counted, measure: str, *at: int) -> Counter[Any]:
    """The oracle's sums of a measure by the parts of their names at these places."""
    found: Counter[Any] = Counter()
    for key, value in want.sums.items():
        if key[0] == measure:
            found[tuple(key[n] for n in at)] += value  # type: ignore[assignment]
    return found


def same(rows: Sequence[Sequence[Any]], want: Sequence[Sequence[Any]]) -> None:
    """The same rows in any order; numbers but for rounding."""
    assert len(rows) == len(want)
    for row, other in zip(sorted(rows, key=str), sorted(want, key=str), strict=True):
        assert [*row] == [pytest.approx(x) if isinstance(x, float) else x for x in other]


SOME = settings(max_examples=12, suppress_health_check=[*HealthCheck])


@SOME
@given(cases(max_records=40))
def test_what_was_saved_and_read_is_what_plain_loops_count(case: Case) -> None:
    want = counted(*case)
    if not want.sums:
        return
    told = report(case)
    raw, kept = sums(want, "tokens_raw", 2), sums(want, "tokens_kept", 2)
    whole = raw.total() - kept.total()
    saved = []
    for (name,), n in raw.items():
        left = float(kept[name,])
        share = (n - left) / whole if whole else None
        saved.append((name, float(n), left, n - left, share, n / left if left else None))
    same(table(told, "Tokens raw and kept, by feature").rows, saved)
    rejected = sums(want, "rejected", 1, 3)
    read = sums(want, "records", 1)
    for (source, _), n in rejected.items():
        read[source,] += n
    gone = [(*names, float(n), n / read[names[0],]) for names, n in rejected.items()]
    same(table(told, "Why records were rejected").rows, gone)
    joined = [(*names, float(n)) for names, n in sums(want, "joined", 1, 3).items()]
    same(table(told, "What joined by attribution").rows, joined)
    facts = {fact.name: fact.value for fact in told.facts}
    assert facts["Records accepted"] == sums(want, "records").total()
    assert facts["Users"] == len({u for (m, *_), us in want.members.items() if m == "users" for u in us})  # noqa: E501  # fmt: skip
    assert facts["Contents"] == len({i for (m, *_), many in want.members.items() if m == "items" for i in many})  # noqa: E501  # fmt: skip


@SOME
@given(cases(max_records=40))
def test_curves_are_what_other_settings_would_have_given(case: Case) -> None:
    """G and N: by cutting sessions anew; c: by the lengths of the sequences."""
    if not counted(*case).sums:
        return
    told, lives = report(case), lives_of(case)
    spec = case[0]
    plain = not any("end" in s for s in spec["sources"].values()) and not spec["session"].get(
        "max_contents"
    )
    for gap, count, _ in table(told, "Sessions with another gap").rows if plain else ():
        ms = round(gap * 1000)
        made = [sessions_of(replace(s, gap=ms), groups, h) for s, h, groups in lives]
        assert count == sum(len(list(each)) for each in made)
    ends = []
    for chosen, history, groups in lives:
        done = 0
        for session in sessions_of(chosen, groups, history):
            done += len(session)
            ends.append(done)
    for n, held, share in table(told, "Histories with another N").rows:
        assert held == sum(min(end, n) for end in ends)
        assert share == pytest.approx(held / sum(ends))
    lengths = [len(row["token_type"]) for row in oracle.sequences(*case).sequences]
    for c, cost, cost_share, tokens, token_share in table(told, "Cost at each c").rows:
        assert cost == sum(n * min(n, c) for n in lengths)
        assert tokens == sum(min(n, c) for n in lengths)
        assert cost_share == pytest.approx(cost / sum(n * n for n in lengths))
        assert token_share == pytest.approx(tokens / sum(lengths))


@SOME
@given(cases(max_records=40))
def test_users_are_those_of_the_newest_sequences(case: Case) -> None:
    if not counted(*case).sums:
        return
    told, made = report(case), oracle.sequences(*case)
    erased: dict[str, int] = defaultdict(int)
    for user, time in made.tombstones:
        erased[user] = max(erased[user], time)
    newest: dict[str, Any] = {}
    many: Counter[str] = Counter()
    for row in sorted(made.sequences, key=lambda one: (one["session_end"], one["sequence_id"])):
        if row["user_id"] not in erased or row["session_end"] > erased[row["user_id"]]:
            newest[row["user_id"]] = row
            many[row["user_id"]] += 1
    want = []
    for user, row in newest.items():
        n, raw = len(row["token_type"]), row["raw_tokens"]
        want.append((user, many[user], row["contents"], n, raw, raw / n))
    same([row[:6] for row in table(told, "The longest users").rows], want)
    sizes = Counter(float(size_key(len(row["token_type"]))) for row in newest.values())
    same(table(told, "Users by length").rows, [*sizes.items()])
    for person in told.people:
        raw = made.sequences
        mine = [r["raw_tokens"] for r in raw if r["user_id"] == person.user]
        assert person.raw_tokens in mine
        assert person.tokens == len(newest[person.user]["token_type"])


@settings(SOME, max_examples=3)
@given(cases(max_records=40))
def test_every_number_of_a_table_is_on_the_page(case: Case) -> None:
    if not counted(*case).sums:
        return
    told = report(case)
    text = page(told)
    for section in told.sections:
        for figure in section.figures:
            for row in figure.table.rows:
                for cell, column in zip(row, figure.table.columns, strict=True):
                    if column.kind not in ("text", "raw"):
                        assert written(cell, column.kind) in text


def test_a_folder_that_is_none_is_told_in_a_line(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for error in ("is no folder", "holds no run's output", "has no spec.yaml"):
        with pytest.raises(ReportError, match=error):
            open_folder(out)
        (out / "statistics" if out.exists() else out).mkdir(exist_ok=True)


def test_a_folder_without_counts_is_told_apart(tmp_path: Path) -> None:
    folder_of(({**_LEAST}, {"e": []}), tmp_path)
    pq.write_table(STATISTICS.empty_table(), tmp_path / "statistics" / "part.parquet")
    with pytest.raises(NothingYet, match="has no rows yet"):
        open_folder(tmp_path)


def test_a_stream_that_has_only_begun_has_nothing_yet(tmp_path: Path) -> None:
    """It writes its spec first, and the folder of an output with its first file."""
    (tmp_path / SPEC_FILE).write_text(spec_text(spec_of(_LEAST)))
    with pytest.raises(NothingYet, match="has no rows yet"):
        open_folder(tmp_path)


_LEAST = {"version": 1, "name": "least", "sources": {"e": {"user": "u", "time": "t"}}}


def test_longer_gaps_join_sessions_by_reckoning() -> None:
    """Pauses of 2 s and 20 s, and G = 1 s."""
    records = [shop.at(time, i=time, a="VIEW") for time in (0, 500, 2_500, 22_500)]
    written = shop.spec_of()
    del written["sources"]["e"]["end"]
    told = report((written, {"e": records, "x": []}))
    found = {gap: count for gap, count, _ in table(told, "Sessions with another gap").rows}
    assert {g: found[g] for g in (1, 2, 5, 10, 15, 20)} == {1: 3, 2: 2, 5: 2, 10: 2, 15: 2, 20: 1}

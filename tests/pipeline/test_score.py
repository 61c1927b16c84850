"""`phia score`: the histories of a folder, candidates of a file, and the model's own scores."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from model.reader.rows import batch_of
from model.saving import trained
from model.scoring.scorer import Serving
from model.trainer import Trainer
from pipeline.score.command import Scoring, request_of, score, summary
from pipeline.score.histories import Histories
from pipeline.score.requests import Asked, requests_in
from schemas.failures import Failure, UsageError
from schemas.ids import id_of
from schemas.outputs import TOMBSTONES
from schemas.sequences import MS
from tests.documents import ROOT, blocks, text_of
from tests.model import shop
from tests.model.scoring.asking import alone
from tests.pipeline.test_train import trained as train_on
from tests.pipeline.test_train import training

HOUR = 3_600_000
LATER = shop.BEGIN + 1000 * HOUR
LINES: list[dict[str, Any]] = [
    {"user_id": "user-1", "time": shop.BEGIN + 5 * HOUR, "candidates": [3, "4", 400]},
    {"user_id": "user-1", "time": LATER, "candidates": [3, 5], "category_topic": [[1, 2], "x"]},
    {"user_id": "nobody", "time": "2026-11-24T10:00:00.123Z", "candidates": ["unheard of"]},
    {"user_id": "user-2", "time": str(LATER), "candidates": []},
    {"user_id": "user-1", "time": LATER, "candidates": list(range(1, 20)), "category_topic": None},
]


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop.folder(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def checkpoint(sequences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    train_on(training(sequences, folder, 6, optimizer={"rate": 0.05, "table_rate": 0.2}))
    return folder


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    file = tmp_path / "candidates.jsonl"
    file.write_text("\n".join(map(json.dumps, LINES)) + "\n\n")
    return file


def scoring(sequences: Path, checkpoint: Path, file: Path, **more: Any) -> Scoring:
    what = Scoring(shop.SPEC, checkpoint, str(sequences), file, "cpu")
    return replace(what, **{"serving": Serving(microbatch=4, cache_bytes=1 << 20), **more})


def printed(what: Scoring) -> tuple[list[dict[str, Any]], Mapping[str, float]]:
    shell = io.BytesIO()
    counts = score(what, shell)
    return [json.loads(line) for line in shell.getvalue().splitlines()], counts


def history_at(user: str, time: int) -> list[dict[str, Any]]:
    """The rows of a user that had ended then, the newest last."""
    rows = [row for row in shop.rows().to_pylist() if row["user_id"] == user]
    ended = [row for row in rows if row["session_end"].timestamp() * 1000 <= time]
    return sorted(ended, key=lambda row: row["session_end"])


def by_the_model(trainer: Trainer, line: Mapping[str, Any], ids: Sequence[int]) -> torch.Tensor:
    newest = history_at(line["user_id"], int(line["time"]))[-1]
    history = batch_of([pa.RecordBatch.from_pylist([newest], shop.rows().schema)])
    topics = {"topic": [[1, 2], [id_of("x")]]} if "category_topic" in line else {}
    asked = Asked(line["user_id"], int(line["time"]), list(map(str, ids)), topics)
    return alone(trainer.model, trainer.tables, request_of(asked, history)).sigmoid()


def test_each_candidate_has_the_scores_of_the_model(
    sequences: Path, checkpoint: Path, lines: Path
) -> None:
    rows, counts = printed(scoring(sequences, checkpoint, lines))
    listed = [(each["user_id"], str(one)) for each in LINES for one in each["candidates"]]
    assert [(row["user_id"], row["candidate"]) for row in rows] == listed
    trainer = trained(checkpoint, shop.SPEC)
    found = torch.tensor([[row["score_VIEW"], row["score_LIKE"]] for row in rows])
    for start, line, ids in [(0, LINES[0], [3, 4, 400]), (3, LINES[1], [3, 5])]:
        right = by_the_model(trainer, line, ids)
        torch.testing.assert_close(found[start : start + len(ids)], right, rtol=1e-5, atol=1e-6)
    assert rows[5]["time"] == 1_795_514_400_123
    assert (counts["requests"], counts["candidates"], counts["without_history"]) == (5, 25, 1)
    assert counts["tokens_kept"] > 0
    said = summary(counts)
    assert said.startswith("25 candidates of 5 requests, 1 of them without a history; tokens of")


def test_parquet_in_and_out_are_the_same(
    sequences: Path, checkpoint: Path, lines: Path, tmp_path: Path
) -> None:
    asked = [line for line in LINES if line["user_id"] != "nobody"]
    schema = pa.schema(
        {
            "user_id": pa.string(),
            "time": MS,
            "candidates": pa.list_(pa.string()),
            "category_topic": pa.list_(pa.list_(pa.string())),
        }
    )
    rows = [
        {
            "user_id": line["user_id"],
            "time": int(line["time"]),
            "candidates": list(map(str, line["candidates"])),
            "category_topic": [["1", "2"], ["x"]] if line.get("category_topic") else None,
        }
        for line in asked
    ]
    file, output = tmp_path / "candidates.parquet", tmp_path / "scores.parquet"
    pq.write_table(pa.Table.from_pylist(rows, schema), file)
    score(scoring(sequences, checkpoint, file, output=output), io.BytesIO())
    found = pq.read_table(output)
    assert found.schema.names == ["user_id", "time", "candidate", "score_VIEW", "score_LIKE"]
    assert found.schema.field("time").type == MS
    text, _ = printed(scoring(sequences, checkpoint, lines))
    expected = [row for row in text if row["user_id"] != "nobody"]
    times = found.set_column(1, "time", found["time"].cast(pa.int64()))
    for row, other in zip(times.to_pylist(), expected, strict=True):
        assert row == pytest.approx(other)


def test_a_history_is_the_newest_that_had_ended_and_is_not_void(tmp_path: Path) -> None:
    folder = shop.folder(tmp_path / "made")
    times = [shop.BEGIN - 1, shop.BEGIN + 2 * HOUR, shop.BEGIN + 7 * HOUR, LATER]
    asked = [Asked("user-3", time, [], {}) for time in times]
    expected = [[row["sequence_id"] for row in history_at("user-3", time)][-1:] for time in times]
    assert [list(each.sequence_ids) for each in Histories(folder, shop.SPEC).of(asked)] == expected
    assert expected[0] == []
    void = [{"user_id": "user-3", "time": shop.BEGIN + 6 * HOUR}]
    (folder / "tombstones").mkdir()
    table = pa.Table.from_pylist(void, TOMBSTONES)
    pq.write_table(table, folder / "tombstones" / "part-0.parquet")
    found = [list(each.sequence_ids) for each in Histories(folder, shop.SPEC).of(asked)]
    assert found[:2] == [[], []]
    assert found[3] == expected[3]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", ":1: not JSON"),
        ('{"time": 1795514400123, "candidates": []}', ":1: user_id is absent"),
        ('{"user_id": "a", "candidates": []}', ":1: time is absent"),
        ('{"user_id": "a", "time": "soon", "candidates": []}', 'time="soon": must be an ISO 8601'),
        ('{"user_id": "a", "time": 5, "candidates": []}', "time=5: must be a number of ms"),
        ('{"user_id": "a", "time": 1795514400123}', ":1: candidates must be a list"),
        ('{"user_id": "a", "time": 1795514400123, "candidates": [{}]}', "candidates={}: must be"),
        ('{"user_id": "a", "time": 1795514400123, "candidates": [1], "x": 1}', "x is not known"),
        (
            '{"user_id":"a","time":1795514400123,"candidates":[1],"category_topic":[]}',
            "category_topic must be a list with one entry for each of 1 candidates",
        ),
    ],
)
def test_a_wrong_line_is_told(line: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "candidates.jsonl"
    file.write_text(line)
    with pytest.raises(Failure, match=r"candidates\.jsonl:1") as error:
        list(requests_in(file, shop.SPEC))
    assert said in str(error.value)


def test_what_cannot_be_read_or_written_is_told(
    sequences: Path, checkpoint: Path, lines: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there.jsonl"
    there.write_text("before")
    damaged = tmp_path / "damaged.parquet"
    damaged.write_text("no")
    wrongs: list[tuple[dict[str, Any], str]] = [
        ({"candidates": tmp_path / "none.jsonl"}, "No such file"),
        ({"candidates": tmp_path / "none.csv"}, "must end in one of .jsonl"),
        ({"candidates": damaged}, "not Parquet that can be read"),
        ({"output": there}, "is there already; --replace"),
        ({"output": tmp_path / "scores.csv"}, "must end in"),
        ({"output": tmp_path / "none" / "scores.jsonl"}, "there is no folder"),
        ({"input": str(tmp_path)}, "must be a folder of phia run, with sequences/ in it"),
    ]
    for wrong, said in wrongs:
        with pytest.raises(UsageError, match=said):
            score(scoring(sequences, checkpoint, lines, **wrong), io.BytesIO())
    assert there.read_text() == "before"


def test_an_output_that_failed_is_not_there(
    sequences: Path, checkpoint: Path, tmp_path: Path
) -> None:
    file, output = tmp_path / "candidates.jsonl", tmp_path / "scores.jsonl"
    file.write_text("\n".join([*map(json.dumps, LINES * 60), "{"]))
    with pytest.raises(Failure, match=":301: not JSON"):
        score(scoring(sequences, checkpoint, file, output=output), io.BytesIO())
    assert list(tmp_path.iterdir()) == [file]
    file.write_text(json.dumps(LINES[0]))
    output.write_text("before")
    score(scoring(sequences, checkpoint, file, output=output, replace=True), io.BytesIO())
    assert len(output.read_text().splitlines()) == 3


@pytest.fixture
def at_home(sequences: Path, checkpoint: Path, lines: Path) -> Path:
    """A folder with all that the guide speaks of."""
    home = lines.parent
    (home / "spec.yaml").write_text(json.dumps(shop.WRITTEN))
    (home / "out").symlink_to(sequences)
    (home / "model").symlink_to(checkpoint)
    return home


def run_in(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=folder, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def test_the_command_prints_scores_and_a_line_of_counts(at_home: Path) -> None:
    options = ["--input", "out", "--checkpoint", "model", "--candidates", "candidates.jsonl"]
    done = run_in(at_home, "-m", "pipeline.cli", "score", "spec.yaml", *options)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 25
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("25 candidates of 5 requests, 1 of them without a history")
    small = run_in(at_home, "-m", "pipeline.cli", "score", "spec.yaml", *options, "--cache-mb", "0")
    assert small.returncode == 2


def test_the_guide_does_what_it_says(at_home: Path) -> None:
    (code,) = blocks(text_of(ROOT / "docs" / "guides" / "scoring.md"), "python")
    (at_home / "block.py").write_text(code)
    done = run_in(at_home, "block.py")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("torch.Size([3, 2]) {'users': 1")

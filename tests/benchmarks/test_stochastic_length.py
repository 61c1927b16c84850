"""The made lengths have the paper's means, and the script prints its tables."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import stochastic_length as script
from schemas.load import load_spec
from tests.model.sampling.sequences import batch_of, engaged, row_of

SPEC = Path("examples/movielens/spec.yaml")


def test_means_of_made_lengths_are_those_that_the_papers_base_row_tells() -> None:
    lengths = script.made_lengths(50_000)
    for longest, percent in zip(script.LONGEST, script.PAPER[2.0], strict=True):
        sparsity = 1 - np.minimum(lengths, longest).mean() / longest
        assert 100 * sparsity == pytest.approx(percent, abs=0.4)


def test_it_prints_a_table_of_lengths_and_two_of_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pa.Table.from_batches([batch_of([row_of(engaged(30), 1, f"{n}") for n in range(40)])])
    rows = rows.drop_columns(["category_topic"])
    spec = load_spec(SPEC)
    for name in spec.categories:
        empty = pa.array([[[]] * 30] * 40, pa.list_(pa.list_(pa.int64())))
        rows = rows.append_column(f"category_{name}", empty)
    pq.write_table(rows, tmp_path / "part.parquet")
    given = ["x", "--scale", "0.001", "--folder", str(tmp_path), "--spec", str(SPEC)]
    monkeypatch.setattr("sys.argv", given)
    assert script.main() == 0
    printed = capsys.readouterr().out
    assert "(84.4)" in printed
    assert "40 sequences, mean 60, longest 60 tokens" in printed
    assert printed.count("| 1.6 | ") == 2 + 3

"""Scores as rows, one a candidate: as Parquet, or as JSON lines in a file or on standard output."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from pipeline.score.requests import JSON_LINES, PARQUET, Asked
from schemas.failures import Failure, UsageError
from schemas.sequences import MS
from schemas.spec import Spec


class Sink(Protocol):
    """Takes rows as they come."""

    def __call__(self, rows: pa.Table) -> None:
        """Writes rows of `schema_of`."""


def schema_of(spec: Spec) -> pa.Schema:
    """The columns: who was asked for, when, which content, and the probability of each action."""
    scores = [pa.field(f"score_{action}", pa.float32()) for action in spec.actions]
    fixed = [("user_id", pa.string()), ("time", MS), ("candidate", pa.string())]
    return pa.schema([*fixed, *scores])


def rows_of(asked: Sequence[Asked], scores: Sequence[Tensor], schema: pa.Schema) -> pa.Table:
    """The rows of some requests in their order; `scores` has [candidates, actions] of each."""
    counts = list(map(len, scores))
    number = pa.array([n for n, count in enumerate(counts) for _ in range(count)], pa.int64())
    users = pa.array([each.user for each in asked], pa.string()).take(number)
    times = pa.array([each.time_ms for each in asked], pa.int64()).cast(MS).take(number)
    texts = pa.array([text for each in asked for text in each.candidates], pa.string())
    columns = [
        pa.concat_arrays([pa.array(each[:, place].numpy()) for each in scores])
        for place in range(len(schema) - 3)
    ]
    return pa.table([users, times, texts, *columns], schema)


@contextmanager
def written(
    output: Path | None, replace: bool, schema: pa.Schema, shell: BinaryIO
) -> Iterator[Sink]:
    """What rows are given to. A file gets its name when all is in it, and not if anything fails.

    Raises UsageError for a file of another kind, or one that is there and may not be replaced.
    """
    if output is None:
        yield lambda rows: _as_json(rows, shell)
        return
    _check(output, replace)
    hidden = output.with_name(f".{output.name}.writing")
    try:
        with _opened(hidden, output.suffix.lower(), schema) as sink:
            yield sink
        os.replace(hidden, output)
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror or error}") from error
    finally:
        hidden.unlink(missing_ok=True)


@contextmanager
def _opened(file: Path, kind: str, schema: pa.Schema) -> Iterator[Sink]:
    if kind in PARQUET:
        with (
            file.open("wb") as out,  # a path with a colon would be a URI to Arrow
            pq.ParquetWriter(out, schema, compression="zstd") as writer,
        ):
            yield writer.write_table
    else:
        with file.open("wb") as lines:
            yield lambda rows: _as_json(rows, lines)


def _check(output: Path, replace: bool) -> None:
    if output.suffix.lower() not in JSON_LINES + PARQUET:
        raise UsageError(f"--output={output}: must end in {', '.join(JSON_LINES + PARQUET)}")
    if output.exists() and not replace:
        raise UsageError(f"--output={output}: is there already; --replace replaces it")
    if not output.parent.is_dir():
        raise UsageError(f"--output={output}: there is no folder {output.parent}")


def _as_json(rows: pa.Table, out: BinaryIO) -> None:
    """One object a row, with times in ms."""
    at = rows.schema.get_field_index("time")
    rows = rows.set_column(at, "time", rows["time"].cast(pa.int64()))
    for row in rows.to_pylist():
        out.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
    out.flush()

"""What is to be scored, as a file says it: JSON lines or Parquet, read a few lines at a time."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.failures import Failure, UsageError
from schemas.ids import id_of
from schemas.sequences import MS
from schemas.spec import Spec
from transforms.core.decode.reject import Rejected
from transforms.core.decode.strict_json import record_of
from transforms.core.decode.values import scalar_text, scalar_texts, time_ms, user_text

JSON_LINES, PARQUET = (".jsonl", ".json"), (".parquet",)
_AT_ONCE = 256
_REQUIRED = ("user_id", "time", "candidates")


@dataclass(frozen=True)
class Asked:
    """A line of the file: a user, a time in ms, candidates by their texts, and of each category a
    list of ids for each candidate, where there is one."""

    user: str
    time_ms: int
    candidates: Sequence[str]
    categories: Mapping[str, Sequence[Sequence[int]]]


def requests_in(file: Path, spec: Spec) -> Iterator[list[Asked]]:
    """The lines of a file in order, some hundred at a time.

    Raises UsageError for a file of another kind, and Failure with the line that is wrong.
    """
    kind = file.suffix.lower()
    if kind not in JSON_LINES + PARQUET:
        wanted = ", ".join(JSON_LINES + PARQUET)
        raise UsageError(f"--candidates={file}: must end in one of {wanted}")
    records = _of_parquet(file) if kind in PARQUET else _of_json(file)
    asked = (_asked(record, where, spec) for where, record in records)
    while some := list(islice(asked, _AT_ONCE)):
        yield some


def _of_json(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    where = f"{file}:{number}"
                    yield where, _record(line, where)
    except OSError as error:
        raise UsageError(f"--candidates={file}: {error.strerror or error}") from None


def _record(line: bytes, where: str) -> Mapping[str, Any]:
    try:
        return record_of(line)
    except Rejected as error:
        raise Failure(f"{where}: {error.detail}") from None


def _of_parquet(file: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    number = 0
    try:
        with pq.ParquetFile(file) as rows:
            for batch in rows.iter_batches(batch_size=_AT_ONCE):
                for record in _in_ms(batch).to_pylist():
                    number += 1
                    yield f"{file}: row {number}", record
    except (pa.ArrowException, OSError) as error:
        line = " ".join(str(error).split())
        raise UsageError(f"--candidates={file}: is not Parquet that can be read: {line}") from None


def _in_ms(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times as numbers of ms; one without a zone is UTC."""
    at = batch.schema.get_field_index("time")
    if at < 0 or not pa.types.is_timestamp(batch.schema.field(at).type):
        return batch
    time = pc.cast(batch.column(at).cast(pa.timestamp("us", "UTC")), MS, safe=False)
    return batch.set_column(at, "time", time.view(pa.int64()))


def _asked(record: Mapping[str, Any], where: str, spec: Spec) -> Asked:
    known = [*_REQUIRED, *(f"category_{name}" for name in spec.categories)]
    for key in record:
        if key not in known:
            raise Failure(f"{where}: {key} is not known; there may be {', '.join(known)}")
    try:
        time, listed = record.get("time"), record.get("candidates")
        is_date = isinstance(time, str) and not time.isdigit()
        if not isinstance(listed, list):
            raise Failure(f"{where}: candidates must be a list of ids of contents")
        return Asked(
            user_text(record.get("user_id"), "user_id"),
            time_ms(time, "iso8601" if is_date else "ms", "time"),
            [scalar_text(each, "candidates") for each in listed],
            {
                name: _ids_of_each(record[f"category_{name}"], len(listed), f"category_{name}")
                for name in spec.categories
                if record.get(f"category_{name}") is not None
            },
        )
    except Rejected as error:
        raise Failure(f"{where}: {error.detail}") from None
    except ValueError as error:
        raise Failure(f"{where}: {error}") from None


def _ids_of_each(lists: Any, candidates: int, name: str) -> list[list[int]]:
    """The ids of each candidate's category: an id, a list of ids, or null."""
    if not isinstance(lists, list) or len(lists) != candidates:
        raise ValueError(
            f"{name} must be a list with one entry for each of {candidates} candidates"
        )
    return [list(map(id_of, scalar_texts(each, name))) for each in lists]

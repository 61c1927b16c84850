"""The folder of a run, as a reader of its sequences opens it."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from model.reader.progress import Erasure
from model.reader.rows import Checking
from model.reader.seen import user_of
from schemas.failures import Failure, UsageError
from schemas.outputs import SEQUENCES, TOMBSTONES
from schemas.sequences import VERSION


def sequences_in(folder: Path, checking: Checking) -> ds.Dataset:
    """The sequences of a run. Raises Failure where a file is not one of sequences of the spec."""
    if not (folder / SEQUENCES).is_dir():
        raise UsageError(f"{folder} is not the folder of a run: it has no {SEQUENCES}/")
    files = _files(folder / SEQUENCES)
    for file in files:
        _check(file, checking)
    return ds.dataset(files, schema=checking.schema, format="parquet")


def erasures_in(folder: Path) -> dict[int, Erasure]:
    """The last erasure of each user that the folder has a tombstone of, by the user's hash."""
    files = _files(folder / "tombstones")
    rows = ds.dataset(files, schema=TOMBSTONES, format="parquet").to_table()
    last = rows.group_by("user_id").aggregate([("time", "max")])
    users = map(user_of, last["user_id"].to_pylist())
    times = last["time_max"].cast(pa.int64()).to_pylist()
    return {user: Erasure(user, until, 0) for user, until in zip(users, times, strict=True)}


def _files(folder: Path) -> Sequence[str]:
    return sorted(str(file) for file in folder.glob("*.parquet"))


def _check(file: str, checking: Checking) -> None:
    """Raises Failure where the columns of a file, or its spec, are others."""
    try:
        metadata = pq.read_metadata(file)
    except (pa.ArrowException, OSError) as error:
        raise Failure(f"{file}: is not a Parquet file: {' '.join(str(error).split())}") from error
    schema = metadata.schema.to_arrow_schema()
    # A tool that has rewritten the file may have dropped the version; the types are there still.
    version = (schema.metadata or {}).get(b"phia-schema", VERSION.encode()).decode()
    if version != VERSION:
        raise Failure(f"{file}: has columns of version {version}; version {VERSION} is read")
    for field in checking.schema:
        found = schema.field(field.name).type if field.name in schema.names else "absent"
        if found != field.type:
            raise Failure(f"{file}: column {field.name} is {found}; must be {field.type}")
    checking.check_spec(_specs(metadata, schema.names.index("spec")), file)


def _specs(metadata: pq.FileMetaData, column: int) -> list[str]:
    """The least and greatest fingerprint of each row group, where Parquet says them."""
    groups = (metadata.row_group(n).column(column) for n in range(metadata.num_row_groups))
    said = [g.statistics for g in groups if g.statistics is not None and g.statistics.has_min_max]
    return [spec for statistics in said for spec in (statistics.min, statistics.max)]

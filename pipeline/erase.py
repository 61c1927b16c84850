"""`phia erase`: void rows taken out of a folder that runs have written (S13)."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.sinks.folder import COMPRESSION, HIDDEN, OutputError
from schemas.outputs import SEQUENCES, TOMBSTONES

_LOOKED_AT = ["user_id", "session_end"]


def erase(folder: Path) -> tuple[int, int]:
    """Removes the sequences that the folder's tombstones make void: those of an erased user with
    an end at or before the erasure. Gives the number of rows removed and of files rewritten.

    Each file is replaced whole. Raises OutputError where the folder holds no run's output, or
    a file that can't be read.
    """
    if not (folder / SEQUENCES).is_dir() or not (folder / "tombstones").is_dir():
        raise OutputError(f"{folder} holds no run's output: it has no {SEQUENCES}/ or tombstones/")
    gone = [*_erased_from(folder, _erasures(folder))]
    with suppress(OSError):  # a stream may be writing there
        (folder / HIDDEN).rmdir()
    return sum(gone), sum(rows > 0 for rows in gone)


def _erased_from(folder: Path, erased: pa.Table) -> Iterator[int]:
    """The number of rows removed from each file."""
    for file in sorted((folder / SEQUENCES).glob("*.parquet")) if erased.num_rows else ():
        with _named(file):
            yield _without_void(file, folder / HIDDEN / file.name, erased)


@contextmanager
def _named(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise OutputError(f"{file}: {' '.join(str(error).split())}") from error


def _erasures(folder: Path) -> pa.Table:
    """The last erasure of each erased user."""
    files = sorted((folder / "tombstones").glob("*.parquet"))
    if not files:
        return TOMBSTONES.empty_table()
    rows = pl.DataFrame(pa.concat_tables(map(_tombstones, files)))
    return rows.group_by("user_id").agg(pl.col("time").max()).to_arrow()


def _tombstones(file: Path) -> pa.Table:
    with _named(file):
        source = pq.ParquetFile(file)
        _check_columns(source, TOMBSTONES.names)
        return source.read(TOMBSTONES.names).cast(TOMBSTONES)


def _check_columns(source: pq.ParquetFile, names: Iterable[str]) -> None:
    lacking = set(names) - set(source.schema_arrow.names)
    if lacking:
        raise pa.ArrowInvalid(f"has no column {', '.join(sorted(lacking))}")


def _without_void(file: Path, hidden: Path, erased: pa.Table) -> int:
    """Rewrites a file, row group by row group, if any row of it is void; counts those."""
    source = pq.ParquetFile(file)
    _check_columns(source, _LOOKED_AT)
    void = [_void(source, group, erased) for group in range(source.num_row_groups)]
    gone = sum(int(pc.sum(mask).as_py() or 0) for mask in void)
    if gone:
        hidden.parent.mkdir(parents=True, exist_ok=True)
        with (
            hidden.open("wb") as out,  # a path with a colon would be a URI to Arrow
            pq.ParquetWriter(out, source.schema_arrow, compression=COMPRESSION) as writer,
        ):
            for group, mask in enumerate(void):
                writer.write_table(source.read_row_group(group).filter(pc.invert(mask)))
        os.replace(hidden, file)
    return gone


def _void(source: pq.ParquetFile, group: int, erased: pa.Table) -> pa.Array:
    """[rows] True for the void rows of a row group."""
    rows = source.read_row_group(group, columns=_LOOKED_AT)
    at = pc.index_in(
        rows["user_id"], value_set=erased["user_id"].cast(pa.string()).combine_chunks()
    )
    until = erased["time"].take(at.combine_chunks()).cast(rows.schema.field("session_end").type)
    return pc.fill_null(pc.less_equal(rows["session_end"], until), False)

"""The files that a run read, read again: what some users observed."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.files import find_files, read_file
from pipeline.report.folder import ReportError, reading
from schemas.fetched import Fetched
from schemas.observations import observation_schema
from schemas.spec import Spec
from transforms.core.decode.decoded import decoded
from transforms.core.decode.plan import Plan

BATCH_ROWS = 50_000
MOST_ROWS = 200_000
"""Records of the users looked at that are held, beside one batch."""


def observations(spec: Spec, folder: Path, users: Sequence[str]) -> pa.Table:
    """The records of some users in a folder of raw events, as they were decoded.

    Raises ReportError where it is no folder, has no file of the spec's sources, or one that can't
    be read; and where the users have more than MOST_ROWS records.
    """
    if not folder.is_dir():
        raise ReportError(f"--events={folder}: must be the folder that the run read")
    schema, wanted = observation_schema(spec), pa.array(users, pa.string())
    parts, count = [schema.empty_table()], 0
    with reading(folder):
        for plan, fetched in _fetched(spec, folder):
            rows = decoded(fetched, plan).rows.select(schema.names).cast(schema)
            mine = rows.filter(pc.is_in(rows["user"], wanted))
            count += mine.num_rows
            if count > MOST_ROWS:
                raise ReportError(
                    f"the users shown have more than {MOST_ROWS:,} records in {folder}: "
                    "name shorter ones with --user"
                )
            parts.append(mine)
    return pa.concat_tables(parts)


def _fetched(spec: Spec, folder: Path) -> Iterator[tuple[Plan, Fetched]]:
    """The batches of all files of the sources."""
    files = [(n, f) for n, s in spec.sources.items() for f in find_files(folder, n, s.format)]
    if not files:
        raise ReportError(f"--events={folder}: has no file of a source of the run's spec")
    for name, file in files:
        plan, limit = Plan(spec, name), spec.limits.record_bytes
        columns = {keys[0] for keys in plan.fields.values()}
        for each in read_file(name, plan.source, file, folder, BATCH_ROWS, limit, columns):
            yield plan, each

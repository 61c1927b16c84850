"""The folder of a run as the page reads it: its spec, and its outputs as polars sees them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from schemas.failures import UsageError
from schemas.load import SPEC_FILE, load_spec
from schemas.outputs import output_schemas
from schemas.spec import Spec

STATISTICS = "statistics"


class ReportError(UsageError):
    """A folder of which no page can be made; the message is one line."""


class NothingYet(ReportError):
    """A run's folder in which nothing has been counted."""


class Vanished(ReportError):
    """A file that went while it was read, as those of before go when a run replaces them."""


@dataclass(frozen=True)
class Folder:
    """What a run wrote."""

    path: Path
    spec: Spec

    def scan(self, name: str) -> pl.LazyFrame:
        """An output; columns that a file lacks, as one of an earlier version does, are null."""
        schema = output_schemas(self.spec)[name]
        empty = pl.DataFrame(schema.empty_table())
        files = self.files(name)
        if not files:
            return empty.lazy()
        return pl.scan_parquet(
            files, schema=empty.schema, missing_columns="insert", extra_columns="ignore"
        )

    def files(self, name: str) -> list[Path]:
        """The files of an output, which only grow in number while a stream runs."""
        return sorted((self.path / name).glob("*.parquet"))


def open_folder(path: Path) -> Folder:
    """The folder of a run, which has counted something.

    Raises ReportError where it is absent, no run's, or has no spec, NothingYet where statistics
    have no rows, SpecError where the spec is wrong.
    """
    if not path.is_dir():
        raise ReportError(f"{path} is no folder: name one that phia run wrote")
    if not (path / SPEC_FILE).is_file():
        if not (path / STATISTICS).is_dir():
            raise ReportError(f"{path} holds no run's output: it has no {SPEC_FILE}")
        raise ReportError(
            f"{path} has no {SPEC_FILE}, which says what ids mean: copy the run's spec there"
        )
    folder = Folder(path, load_spec(path / SPEC_FILE))
    with reading(path):
        if folder.scan(STATISTICS).head(1).collect().is_empty():
            raise NothingYet(f"{path / STATISTICS} has no rows yet: nothing was counted")
    return folder


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Makes a ReportError of one line of what goes wrong when a folder's files are read."""
    try:
        yield
    except FileNotFoundError as error:
        raise Vanished(f"{path}: a file went while it was read; try again ({error})") from error
    except (pl.exceptions.PolarsError, OSError) as error:
        raise ReportError(f"{path}: {' '.join(str(error).split())[:300]}") from error

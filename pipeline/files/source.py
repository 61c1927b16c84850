"""Event files as a Beam source: decoded observations, and all that is read beside them."""

import os
from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam

from pipeline.ahead import ahead
from pipeline.decoding import Decoding
from pipeline.files.find import find_files
from pipeline.files.read import read_file
from schemas.failures import Failure
from schemas.fetched import Fetched
from schemas.spec import Spec
from transforms.coders import Tagged

BATCH_ROWS = 50_000


class Unreadable(Failure):
    """A file that cannot be opened, or whose disk fails; the message is one line."""


def files_of(spec: Spec, folder: Path) -> list[tuple[str, str]]:
    """Each source's files in a folder, as pairs of the source and the path."""
    return [
        (name, str(path))
        for name, source in spec.sources.items()
        for path in find_files(folder, name, source.format)
    ]


class ReadFiles(beam.PTransform):  # type: ignore[misc]
    """Reads the files of a spec's sources in a folder, whole: bounded input."""

    def __init__(self, spec: Spec, folder: str | Path) -> None:
        super().__init__()
        self._spec = spec
        self._folder = Path(folder)

    def expand(self, pipeline: beam.Pipeline) -> beam.PCollection:
        """Tagged record batches, for `Sequences`."""
        files = files_of(self._spec, self._folder)  # their names may be no UTF-8
        return (
            pipeline
            | "Files" >> beam.Create([(name, os.fsencode(path)) for name, path in files])
            | "Spread" >> beam.Reshuffle()
            | "Read" >> beam.ParDo(ReadFile(self._spec, str(self._folder)))
        )


@beam.typehints.with_input_types(tuple[str, bytes])
@beam.typehints.with_output_types(Tagged)
class ReadFile(beam.DoFn):  # type: ignore[misc]
    """Reads and decodes one file, batch by batch."""

    def __init__(self, spec: Spec, folder: str) -> None:
        self._spec = spec
        self._folder = folder

    def setup(self) -> None:
        """Once a worker."""
        self._decoding = Decoding(self._spec)

    def start_bundle(self) -> None:
        """The bundle before may have failed, and come again."""
        self._decoding.forget()

    def process(self, element: tuple[str, bytes]) -> Iterator[Tagged]:
        """The tagged batches of a file."""
        name, path = element[0], os.fsdecode(element[1])
        fetched = read_file(
            name,
            self._spec.sources[name],
            Path(path),
            Path(self._folder),
            BATCH_ROWS,
            self._spec.limits.record_bytes,
            self._decoding.columns(name),
        )
        for decoded in ahead(map(self._decoding.decode, _readable(fetched, path))):
            yield from self._decoding.tagged(decoded)


def _readable(fetched: Iterator[Fetched], path: str) -> Iterator[Fetched]:
    try:
        yield from fetched
    except OSError as error:
        raise Unreadable(f"cannot read {path}: {error.strerror or error}") from error

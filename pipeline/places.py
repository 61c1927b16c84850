"""Where a run reads and writes: folders of this machine, none of which gets among the other's."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.sinks.folder import HIDDEN
from schemas.failures import UsageError
from schemas.load import SPEC_FILE, spec_text
from schemas.outputs import output_schemas
from schemas.spec import Spec

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def the_one(option: str, given: Sequence[str]) -> str:
    """What an option was given that may stand once. Raises UsageError where it stands twice."""
    if len(given) > 1:
        raise UsageError(f"{option}: given {len(given)} times; name one")
    return given[0]


def folder_named(option: str, written: str) -> Path:
    """The folder of this machine that an option names, whether it is there or not. Raises
    UsageError for what names none."""
    if not written:
        raise UsageError(f"{option}: is empty; name a folder (. is the one that you are in)")
    if _URL.match(written):
        raise UsageError(f"{option}={written}: must be a folder of this machine, or kafka://…")
    if written.startswith("~"):
        raise UsageError(f"{option}={written}: the shell left ~ as it is; write {option} {written}")
    try:
        written.encode()
        os.stat(written)
    except UnicodeEncodeError:
        raise UsageError(f"{option}={written}: is not UTF-8") from None
    except (FileNotFoundError, NotADirectoryError):
        pass  # whoever needs it says so
    except OSError as error:
        raise UsageError(f"{option}={written}: {error.strerror}") from None
    return Path(written)


def check_apart(spec: Spec, spec_file: Path | None, read: Path | None, write: Path | None) -> None:
    """Raises UsageError where a run would write over its spec, or among the files that it reads,
    which a later run would remove, or take for records."""
    if write is None:
        return
    if spec_file is not None and _would_change(spec, spec_file, write / SPEC_FILE):
        raise UsageError(
            f"--output={write}: the run would write its {SPEC_FILE} over the spec that is given; "
            "name another folder"
        )
    if read is None:
        return
    if _is_same(write, read):
        raise UsageError(f"--output={write}: is the folder that is read; name another")
    for place in _written(spec, write):
        for source in _read(spec, read):
            if place.is_relative_to(source) or source.is_relative_to(place):
                raise UsageError(
                    f"--output={write}: {place} would get among the input's {source}; "
                    "name a folder apart from it"
                )


def _would_change(spec: Spec, given: Path, kept: Path) -> bool:
    """Whether the spec is kept over the very file that is given, and that one says it otherwise."""
    return _is_same(kept, given) and given.read_bytes() != spec_text(spec).encode()


def _is_same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and one.samefile(other)


def _written(spec: Spec, folder: Path) -> Iterator[Path]:
    for name in (*output_schemas(spec), HIDDEN):
        yield (folder / name).resolve()


def _read(spec: Spec, folder: Path) -> Iterator[Path]:
    for name in spec.sources:
        yield (folder / name).resolve()

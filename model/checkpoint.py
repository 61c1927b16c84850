"""Checkpoints: folders of safetensors and JSON that are whole or not there.

A checkpoint is written as `.writing-STEP` and renamed to `step-STEP` when everything, its manifest
last, is on the disk. Who looks for the newest one sees only whole ones, however the writer died.
The manifest has the size and the digest of each file. Nothing in one is code.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xxhash
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from model.exchange import Exchange
from schemas.failures import Failure

FORMAT = 1
MANIFEST = "manifest.json"
_READ_BYTES = 1 << 20

Tensors = Mapping[str, Tensor]


class CheckpointError(Failure):
    """A checkpoint that cannot be written, read or gone on from; the message is one line."""


@dataclass(frozen=True)
class Part:
    """A named part of a checkpoint: tensors, and facts that JSON can hold."""

    tensors: Tensors
    facts: Any = None


@dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint: its step, the facts of its manifest, and its parts, read when asked."""

    path: Path
    step: int
    facts: Mapping[str, Any]
    files: Mapping[str, Mapping[str, Any]]

    def names(self, prefix: str = "") -> list[str]:
        """The names of the parts that begin so."""
        parts = (name.removesuffix(".safetensors") for name in self.files if "safetensors" in name)
        return sorted(name for name in parts if name.startswith(prefix))

    def part(self, name: str) -> Part:
        """A part, on the CPU. Raises CheckpointError where it is absent or not as written."""
        self._check(f"{name}.safetensors")
        self._check(f"{name}.json")
        try:
            tensors = load_file(self.path / f"{name}.safetensors")
        except SafetensorError as error:
            raise CheckpointError(f"{self.path / name}.safetensors: {error}") from None
        return Part(tensors, json.loads((self.path / f"{name}.json").read_bytes()))

    def _check(self, name: str) -> None:
        wanted = self.files.get(name)
        if wanted is None or not (self.path / name).is_file():
            raise CheckpointError(f"{self.path}: has no {name}; remove it to use an older one")
        if _described(self.path / name) != dict(wanted):
            wrong = f"{self.path / name}: is not what was written"
            raise CheckpointError(f"{wrong}; remove {self.path.name} to use an older one")


class Checkpoints:
    """The checkpoints of a folder. All ranks save together and see one file system."""

    def __init__(self, folder: Path, keep: int, exchange: Exchange) -> None:
        self._folder, self._keep, self._exchange = folder, keep, exchange

    def newest(self) -> Checkpoint | None:
        """The one of the most steps, or None. Raises CheckpointError if it cannot be read."""
        steps = self._steps()
        return _opened(steps[max(steps)]) if steps else None

    def save(self, step: int, facts: Mapping[str, Any], parts: Mapping[str, Part]) -> Path:
        """Writes one: each rank its own `parts`, under names that no other rank has.

        Raises CheckpointError. Returns when it is on the disk; older ones than the last few go.
        """
        hidden = self._folder / f".writing-{step:012d}"
        with _explained(hidden):
            # Step 1: an empty folder for all ranks.
            if self._exchange.rank == 0:
                self._clear()
                hidden.mkdir(parents=True)
            self._exchange.barrier()
            # Step 2: each rank's parts.
            for name, part in parts.items():
                _write(hidden, name, part)
            self._exchange.barrier()
            # Step 3: the manifest, and the name by which it is found.
            if self._exchange.rank == 0:
                self._publish(hidden, step, facts)
            self._exchange.barrier()
        return self._folder / f"step-{step:012d}"

    def _publish(self, hidden: Path, step: int, facts: Mapping[str, Any]) -> None:
        files = {file.name: _described(file) for file in sorted(hidden.iterdir())}
        manifest = {"format": FORMAT, "step": step, "facts": dict(facts), "files": files}
        _write_whole(hidden / MANIFEST, json.dumps(manifest, indent=2).encode())
        _sync(hidden)
        final = self._folder / f"step-{step:012d}"
        if final.exists():  # of a run that was told to begin again at an earlier step
            shutil.rmtree(final)
        hidden.rename(final)
        _sync(self._folder)
        steps = self._steps()
        for old in sorted(steps)[: -self._keep]:
            shutil.rmtree(steps[old])

    def _steps(self) -> dict[int, Path]:
        found = self._folder.glob("step-*") if self._folder.is_dir() else ()
        return {int(path.name[5:]): path for path in found if path.name[5:].isdigit()}

    def _clear(self) -> None:
        """Takes away what a writer that died has left."""
        for path in self._folder.glob(".writing-*"):
            shutil.rmtree(path)


def _opened(path: Path) -> Checkpoint:
    try:
        manifest = json.loads((path / MANIFEST).read_bytes())
        form, step = manifest["format"], manifest["step"]
        facts, files = manifest["facts"], manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{path}: no manifest that can be read: {error!r}") from None
    if form != FORMAT:
        raise CheckpointError(f"{path}: is of format {form}; this is for format {FORMAT}")
    return Checkpoint(path, step, facts, files)


def _write(folder: Path, name: str, part: Part) -> None:
    path = folder / f"{name}.safetensors"
    save_file(
        {key: tensor.detach().cpu().contiguous() for key, tensor in part.tensors.items()}, path
    )
    with path.open("rb") as file:
        os.fsync(file.fileno())
    _write_whole(folder / f"{name}.json", json.dumps(part.facts).encode())


def _write_whole(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    """Makes the names in a folder last."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _described(path: Path) -> dict[str, Any]:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return {"bytes": path.stat().st_size, "xxh3": digest.hexdigest()}


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns what the file system says into a CheckpointError."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(f"cannot write {path}: {error.strerror or error}") from error

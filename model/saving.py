"""What a checkpoint of a run holds, and how a run goes on from one.

Dense weights and figures are the same on all processes, and written by the first. Rows of tables
and the state of reading are each process's own; whoever goes on takes its share of all of them, so
that the number of processes may change.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from model.checkpoint import Checkpoint, CheckpointError, Checkpoints, Part
from model.config import TrainConfig
from model.exchange import Exchange
from model.reader.state import ReaderState
from model.rehearsal import Rehearsal
from model.sampling.choosing import Choosing
from model.trainer import Trainer
from schemas.fingerprint import fingerprint
from schemas.load import parse_document
from schemas.problems import SpecError
from schemas.spec import Spec

FIXED = ("tasks", "seed", "model", "inputs", "vocabulary", "length")
"""Settings that a run cannot go on with otherwise than it began."""

_OPTIMIZER = "optimizer."


class Saved:
    """Everything of a run that is not the model: where reading is, of the lanes of this process,
    and its checkpoints."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        lanes: int,
        choosing: Mapping[int, Choosing],
        rehearsal: Rehearsal | None = None,
    ) -> None:
        self.count, self.choosing = lanes, dict(choosing)
        self.rehearsal = rehearsal or Rehearsal({})
        self.lanes = sorted(self.choosing)
        self.reading = ReaderState(lanes)
        self._checkpoints = checkpoints
        self._last = -1

    def save(self, trainer: Trainer) -> None:
        """Makes a checkpoint; all processes call this together. Raises CheckpointError."""
        if trainer.step == self._last:
            return
        parts = dict(self._parts(trainer))
        facts = {
            "spec": fingerprint(trainer.spec),
            "config": trainer.config.model_dump(mode="json"),
            "lanes": self.count,
            "tokens": trainer.tokens,
            "sequences": trainer.sequences,
        }
        self._checkpoints.save(trainer.step, facts, parts)
        self._last = trainer.step

    def load(self, checkpoint: Checkpoint, trainer: Trainer) -> None:
        """Goes on from a checkpoint that `check` has let pass. Raises CheckpointError."""
        load_model(checkpoint, trainer)
        parts = [checkpoint.part(name) for name in checkpoint.names("reading-")]
        self.reading = ReaderState.joined(
            ReaderState.of(part.facts["reader"], part.tensors) for part in parts
        ).only(self.lanes)
        for part in parts:
            for lane, state in part.facts["choosing"].items():
                if int(lane) in self.choosing:
                    self.choosing[int(lane)].load(state)
        for lane, memory in self.rehearsal.memories.items():
            if _kept(lane) in checkpoint.names():
                memory.load(checkpoint.part(_kept(lane)), trainer.spec.categories)
        self._last = checkpoint.step

    def _parts(self, trainer: Trainer) -> Iterator[tuple[str, Part]]:
        rank = trainer.exchange.rank
        figures = trainer.windows.state()  # all processes take part in it
        if rank == 0:
            yield "dense", Part(_dense(trainer))
            yield "figures", Part(figures)
            tables = trainer.tables
            yield "catalogue", Part(tables.catalogue.state(), {"now_ms": tables.now_ms})
        for number, (name, table) in enumerate(trainer.tables.all()):
            yield f"table-{number:03d}-{rank:04d}", Part(table.state(), {"name": name})
        choosing = {str(lane): each.state() for lane, each in self.choosing.items()}
        facts = {"reader": self.reading.to_json(), "choosing": choosing}
        yield f"reading-{rank:04d}", Part(self.reading.to_tensors(), facts)
        for lane, memory in self.rehearsal.memories.items():
            yield _kept(lane), memory.part(trainer.spec.categories)


def _kept(lane: int) -> str:
    """The part with what a lane's memory keeps."""
    return f"rehearsal-{lane:04d}"


def load_model(checkpoint: Checkpoint, trainer: Trainer) -> None:
    """Takes over weights, tables, optimisers and figures. Raises CheckpointError."""
    _load_dense(trainer, checkpoint.part("dense").tensors)
    trainer.windows.load(checkpoint.part("figures").tensors)
    catalogue = checkpoint.part("catalogue")
    trainer.tables.catalogue.load(dict(catalogue.tensors))
    trainer.tables.now_ms = catalogue.facts["now_ms"]
    for number, (_, table) in enumerate(trainer.tables.all()):
        names = checkpoint.names(f"table-{number:03d}-")
        table.load(dict(checkpoint.part(name).tensors) for name in names)
    trainer.step, trainer.tokens = checkpoint.step, checkpoint.facts["tokens"]
    trainer.sequences = checkpoint.facts["sequences"]


def trained(folder: Path, spec: Spec, device: str = "cpu") -> Trainer:
    """The model of the newest checkpoint in a folder, to be asked. Raises CheckpointError."""
    found = Checkpoints(folder, 1, Exchange.alone()).newest()
    if found is None:
        raise CheckpointError(f"{folder}: holds no checkpoint; phia train makes one")
    config = settings_of(found)
    check(found, spec, config)
    trainer = Trainer(spec, config, Exchange.alone(), device)
    load_model(found, trainer)
    return trainer


def settings_of(checkpoint: Checkpoint) -> TrainConfig:
    """The settings of its run; what was not yet one then has what is now the default. Raises
    CheckpointError where one is a setting no more."""
    written, name = json.dumps(checkpoint.facts["config"]), str(checkpoint.path)
    try:
        return parse_document(written, name, TrainConfig, "settings", "version: 1")
    except SpecError as error:
        raise CheckpointError(f"{error}; name another --checkpoint") from None


def check(checkpoint: Checkpoint, spec: Spec, config: TrainConfig) -> None:
    """Raises CheckpointError where a checkpoint is of another spec or another model."""
    facts = checkpoint.facts
    advice = "name another --checkpoint, or take the old settings"
    if facts["spec"] != fingerprint(spec):
        raise CheckpointError(
            f"{checkpoint.path}: is of the spec {facts['spec']}, this one is {fingerprint(spec)}: "
            "ids of tokens mean something else; name another --checkpoint"
        )
    was = settings_of(checkpoint).model_dump(mode="json")
    now = config.model_dump(mode="json")
    for key in FIXED:
        for place, before, after in _differing(key, was[key], now[key]):
            raise CheckpointError(f"{checkpoint.path}: {place} was {before}, not {after}; {advice}")


def _differing(place: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """Where two values of a setting differ, and how."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for key in sorted({*before, *after}):
            yield from _differing(f"{place}.{key}", before.get(key), after.get(key))
    elif before != after:
        yield place, before, after


def _dense(trainer: Trainer) -> dict[str, Tensor]:
    """Weights by their names, and the optimiser's tensors by these and its own names."""
    found = dict(trainer.model.state_dict())
    for name, parameter in trainer.model.named_parameters():
        for key, tensor in trainer.optimizer.state[parameter].items():
            found[f"{_OPTIMIZER}{key}.{name}"] = tensor
    return found


def _load_dense(trainer: Trainer, tensors: Mapping[str, Tensor]) -> None:
    weights = {k: v for k, v in tensors.items() if not k.startswith(_OPTIMIZER)}
    try:
        trainer.model.load_state_dict(weights)
    except RuntimeError as error:
        line = " ".join(str(error).split())
        raise CheckpointError(f"the checkpoint's weights do not fit: {line}") from None
    for name, parameter in trainer.model.named_parameters():
        state = {}
        for key in ("step", "exp_avg", "exp_avg_sq"):
            tensor = tensors[f"{_OPTIMIZER}{key}.{name}"]
            on_cpu = key == "step" and not trainer.optimizer.defaults["fused"]
            state[key] = tensor if on_cpu else tensor.to(parameter.device)
        trainer.optimizer.state[parameter] = state

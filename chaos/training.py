"""A trainer that learns from the sequence topic while all around it is disturbed."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from kafka_client.clients import Connection
from model.checkpoint import Checkpoints
from model.exchange import Exchange
from model.reader.seen import Seen, ids_of
from model.reader.state import ReaderState
from schemas.failures import Failure

LIMIT_S = 300.0
SETTINGS = """
batch_tokens: 2048
lanes: 1
model: {width: 8, blocks: 1, heads: 2, query_width: 4, value_width: 4}
retrieval: {negatives: 8}
checkpoint: {every_steps: 5, keep: 2}
evaluation: {window_steps: 100}
"""


@dataclass(frozen=True)
class Trained:
    """What a trainer has learned from: `rows` that it took, and the ids that it knows."""

    rows: int
    ids: frozenset[bytes]


class Trainer:
    """`phia train` as a process; its checkpoints and its settings lie in `folder`."""

    def __init__(self, topic: Connection, spec: Path, folder: Path) -> None:
        folder.mkdir(parents=True)
        (folder / "train.yaml").write_text(SETTINGS)
        self._folder = folder
        self._command = [
            *(sys.executable, "-m", "pipeline.cli", "train", str(spec)),
            *("--input", f"kafka://{topic.bootstrap}/{topic.topic}", "--device", "cpu"),
            *("--config", str(folder / "train.yaml"), "--checkpoint", str(folder / "model")),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts it; it goes on from its last checkpoint."""
        self._process = self._started()

    def kill(self) -> None:
        """Ends it at once (kill -9)."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def finish(self) -> Trained:
        """Kills it once more, trains on all that the topic has, and tells what it knows."""
        self.kill()
        self._process = self._started("--until", "latest")
        if self._process.wait(LIMIT_S):
            raise Failure(f"the trainer failed: see {self._folder / 'train.log'}")
        return self._trained()

    def _started(self, *more: str) -> "subprocess.Popen[bytes]":
        with open(self._folder / "train.log", "ab") as log:
            return subprocess.Popen(
                [*self._command, *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def _trained(self) -> Trained:
        newest = Checkpoints(self._folder / "model", 1, Exchange.alone()).newest()
        if newest is None:
            return Trained(0, frozenset())
        part = newest.part("reading-0000")
        state = ReaderState.of(part.facts["reader"], part.tensors)
        counts = state.counts()
        taken = counts["rows"] - counts["replays"] - counts["void"] - counts["left_out"]
        generations = state.lane(0, 1).window.generations()
        seen = Seen.joined([each for _, each in generations])
        return Trained(taken, frozenset(seen.ids.tolist()))


def known_as(sequence_ids: list[str]) -> frozenset[bytes]:
    """What a trainer knows sequences as."""
    return frozenset(ids_of(sequence_ids).tolist())

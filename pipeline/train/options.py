"""What `phia train` is asked to do, checked before anything starts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kafka_client.clients import Connection
from kafka_client.secrets import Secret
from model.batch import SequenceBatch
from model.config import TrainConfig
from model.reader.files import SequenceFiles
from model.reader.folder import erasures_in
from model.reader.progress import Erasure
from model.reader.state import ReaderState
from model.reader.topic import SequenceTopic
from model.sampling.choosing import Choosing
from schemas.failures import UsageError
from schemas.outputs import SEQUENCES
from schemas.spec import Spec


@dataclass(frozen=True)
class Input:
    """Where --input says that sequences are: a folder, or a topic and how it is read."""

    where: Path | Connection
    until_latest: bool = False
    skip_lost: bool = False

    def erasures(self) -> list[Erasure]:
        """Those that are there from the beginning: a folder's. A topic brings its own in turn."""
        return [*erasures_in(self.where).values()] if isinstance(self.where, Path) else []


@dataclass(frozen=True)
class Training:
    """A run of training: what it learns from, where it keeps itself, and how it shows itself."""

    spec: Spec
    config: TrainConfig
    input: Input
    checkpoint: Path
    device: str | None = None
    most_steps: int | None = None
    metrics_file: Path | None = None
    metrics_port: int | None = None


def input_of(
    read: str, until: str | None, skip_lost: bool, security: Mapping[str, str | Secret]
) -> Input:
    """What --input, --until and --skip-lost say. Raises UsageError."""
    if read.startswith("kafka:"):
        if until not in (None, "latest"):
            raise UsageError(f"--until={until}: must be latest")
        return Input(_connection(read, security), until == "latest", skip_lost)
    if until is not None or skip_lost:
        raise UsageError("--until and --skip-lost are for Kafka; a folder is read as it is")
    return Input(folder_of(read, ", or kafka://HOST:PORT/TOPIC"))


@dataclass(frozen=True)
class Lanes:
    """The lanes of an input, each with its part of the tokens of a step; can be pickled."""

    read: Input
    spec: Spec
    tokens: int
    lanes: int

    @classmethod
    def of(cls, read: Input, spec: Spec, config: TrainConfig, lanes: int) -> "Lanes":
        """So many lanes of an input."""
        return cls(read, spec, max(config.batch_tokens // lanes, 1), lanes)

    def __call__(
        self, lane: int, choosing: Choosing, start: ReaderState
    ) -> Iterator[SequenceBatch | None]:
        """The batches of a lane from a state on."""
        how: dict[str, Any] = {"tokens": self.tokens, "lane": lane, "lanes": self.lanes}
        how |= {"choose": choosing, "start": start}
        if isinstance(self.read.where, Path):
            return iter(SequenceFiles(self.read.where, self.spec, **how))
        how |= {"until_latest": self.read.until_latest, "skip_lost": self.read.skip_lost}
        return iter(SequenceTopic(self.read.where, self.spec, **how))


def folder_of(read: str, or_else: str = "") -> Path:
    """The folder of a run, of which `sequences/` may be named as well. Raises UsageError, which
    says what else it might be."""
    folder = Path(read).resolve()
    for each in (folder, folder.parent):
        if (each / SEQUENCES).is_dir() and folder in (each, each / SEQUENCES):
            return each
    wanted = f"a folder of phia run, with {SEQUENCES}/ in it{or_else}"
    raise UsageError(f"--input={read}: must be {wanted}")


def _connection(read: str, security: Mapping[str, str | Secret]) -> Connection:
    try:
        connection = Connection.from_url(read, security)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if connection.topic is None:
        raise UsageError(f"--input={read}: must name the topic, as in kafka://HOST:9092/sequences")
    return connection

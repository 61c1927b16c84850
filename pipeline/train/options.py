"""What `phia train` is asked to do, checked before anything starts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kafka_client.clients import Connection
from model.batch import SequenceBatch
from model.config import TrainConfig
from model.reader.files import SequenceFiles
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


@dataclass(frozen=True)
class Folder:
    """The sequences of a folder that `phia run` wrote."""

    path: Path
    spec: Spec
    tokens: int
    lanes: int

    def batches(
        self, lane: int, choosing: Choosing, start: ReaderState
    ) -> Iterator[SequenceBatch | None]:
        """The batches of a lane."""
        return iter(
            SequenceFiles(
                self.path,
                self.spec,
                tokens=self.tokens,
                lane=lane,
                lanes=self.lanes,
                choose=choosing,
                start=start,
            )
        )


@dataclass(frozen=True)
class Topic:
    """The sequences of a topic, for ever or up to its present end."""

    connection: Connection
    spec: Spec
    tokens: int
    lanes: int
    until_latest: bool
    skip_lost: bool

    def batches(
        self, lane: int, choosing: Choosing, start: ReaderState
    ) -> Iterator[SequenceBatch | None]:
        """The batches of a lane, None now and then where nothing comes."""
        return iter(self._dataset(lane, choosing, start))

    def _dataset(self, lane: int, choosing: Choosing, start: ReaderState) -> SequenceTopic:
        return SequenceTopic(
            self.connection,
            self.spec,
            tokens=self.tokens,
            lane=lane,
            lanes=self.lanes,
            choose=choosing,
            start=start,
            until_latest=self.until_latest,
            skip_lost=self.skip_lost,
        )


def input_of(read: str, until: str | None, skip_lost: bool, security: Mapping[str, str]) -> Input:
    """What --input, --until and --skip-lost say. Raises UsageError."""
    if read.startswith("kafka:"):
        if until not in (None, "latest"):
            raise UsageError(f"--until={until}: must be latest")
        return Input(_connection(read, security), until == "latest", skip_lost)
    if until is not None or skip_lost:
        raise UsageError("--until and --skip-lost are for Kafka; a folder is read as it is")
    if not (Path(read) / SEQUENCES).is_dir():
        wanted = f"a folder of phia run, with {SEQUENCES}/ in it, or kafka://HOST:PORT/TOPIC"
        raise UsageError(f"--input={read}: must be {wanted}")
    return Input(Path(read))


def source_of(read: Input, spec: Spec, config: TrainConfig, lanes: int) -> Folder | Topic:
    """The lanes of an input, each with its part of the tokens of a step."""
    tokens = max(config.batch_tokens // lanes, 1)
    if isinstance(read.where, Path):
        return Folder(read.where, spec, tokens, lanes)
    return Topic(read.where, spec, tokens, lanes, read.until_latest, read.skip_lost)


def _connection(read: str, security: Mapping[str, str]) -> Connection:
    try:
        connection = Connection.from_url(read, security)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if connection.topic is None:
        raise UsageError(f"--input={read}: must name the topic, as in kafka://HOST:9092/sequences")
    return connection

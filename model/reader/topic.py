"""Sequences of a Kafka topic, as a dataset of torch."""

import time
from collections.abc import Iterator
from contextlib import closing

from kafka import KafkaConsumer, TopicPartition
from kafka.structs import OffsetAndMetadata
from torch.utils.data import IterableDataset

from kafka_client.clients import Connection, consumer, explained
from kafka_client.topics import beginning_offsets, end_offsets
from model.batch import SequenceBatch
from model.reader.lane import Lane, share_of
from model.reader.merged import MergedLog
from model.reader.progress import Progress
from model.reader.rows import Checking, Choose
from model.reader.starting import check_partitions, passed_over, places_of
from model.reader.state import ReaderState
from model.reader.topic_lane import TopicLane
from schemas.failures import UsageError
from schemas.spec import Spec

DAY_MS = 24 * 3_600_000


class SequenceTopic(IterableDataset[SequenceBatch | None]):
    """The sequences of a topic in batches of at most `tokens` tokens (one sequence alone may have
    more), each sequence once: copies and void ones are left out.

    `connection` is "kafka://HOST:PORT/TOPIC", or a Connection with a topic. Lane `lane` of
    `lanes` has the partitions p with p mod lanes = lane; workers of a DataLoader share a lane by
    the same rule. `choose` says which rows are trained on, and in what form. It begins at
    `start`, or with the first message that is there; ends with what is there now if
    `until_latest`, and else never: then None comes whenever no batch did for `patience` seconds,
    so that whoever reads can do something else.

    `replay_window` (ms of Kafka's timestamps) is how long a sequence is known as a copy at least.
    `skip_lost` goes on where retention has deleted messages that were not read. `group` is under
    whose name `commit` shows how far reading is.

    Raises, while it is read, Failure of one line: for what is damaged, of another spec, or does
    not fit `start`.
    """

    def __init__(
        self,
        connection: Connection | str,
        spec: Spec,
        *,
        tokens: int,
        lane: int = 0,
        lanes: int = 1,
        choose: Choose | None = None,
        start: ReaderState | None = None,
        until_latest: bool = False,
        patience: float = 1.0,
        replay_window: int = DAY_MS,
        skip_lost: bool = False,
        group: str | None = None,
    ) -> None:
        super().__init__()
        self._connection = _with_topic(connection)
        self._checking, self._choose = Checking(spec), choose
        self._tokens, self._lane, self._lanes = tokens, lane, lanes
        self._start = start or ReaderState()
        self._until_latest, self._skip_lost = until_latest, skip_lost
        self._patience, self._window = patience, replay_window
        self._group = group
        self._committer: KafkaConsumer | None = None

    def __iter__(self) -> Iterator[SequenceBatch | None]:
        """The batches, from the start again each time."""
        number, of = share_of(self._lane, self._lanes)
        lane = Lane(self._start.lane(number, of), self._tokens)
        with closing(consumer(self._connection, auto_offset_reset="none")) as client:
            log, partitions = self._log(client, lane, number, of)
            topic = str(self._connection.topic)
            using = TopicLane(
                lane, number, of, topic, partitions, self._checking, self._choose, self._window
            )
            yield from self._batches(log, using)
            yield from lane.rest()

    def commit(self, state: ReaderState) -> None:
        """Commits where a state stands for the group, so that its lag shows. Nothing is read
        from it. Raises KafkaUnavailable."""
        if self._group is None:
            raise UsageError("commit needs a group: SequenceTopic(…, group=NAME)")
        if self._committer is None:
            self._committer = consumer(self._connection, group_id=self._group)
        offsets = {
            TopicPartition(self._connection.topic, partition): OffsetAndMetadata(offset, "", -1)
            for partition, offset in state.offsets().items()
        }
        with explained(self._connection, f"cannot commit for group {self._group!r}"):
            self._committer.commit(offsets, timeout_ms=10_000)

    def close(self) -> None:
        """Closes the connection that `commit` has opened."""
        if self._committer is not None:
            self._committer.close(timeout_ms=5_000)
            self._committer = None

    def _log(
        self, client: KafkaConsumer, lane: Lane, number: int, of: int
    ) -> tuple[MergedLog, int]:
        """The messages of a lane, and how many partitions the topic has."""
        topic = str(self._connection.topic)
        ends = end_offsets(self._connection, topic)
        check_partitions(topic, lane.state, len(ends))
        first = beginning_offsets(self._connection, topic)
        mine = {part: offset for part, offset in first.items() if part % of == number}
        places = places_of(topic, lane.state, mine, ends)
        # Also of partitions that the first batches take nothing from: what is lost there shows.
        lane.note(Progress(number, of, len(ends), places))
        lost = {
            part: passed_over(topic, part, place.offset, mine[part], self._skip_lost)
            for part, place in places.items()
        }
        client.assign([TopicPartition(topic, part) for part in places])
        for part, place in places.items():
            client.seek(TopicPartition(topic, part), place.offset + lost[part])
        follows = not self._until_latest
        log = MergedLog(client, self._connection, places, ends, follows, self._skip_lost)
        log.lost = sum(lost.values())
        return log, len(ends)

    def _batches(self, log: MergedLog, using: TopicLane) -> Iterator[SequenceBatch | None]:
        given = time.monotonic()
        for arrived in log:
            for batch in using.use(arrived) if arrived else ():
                yield batch
                given = time.monotonic()
            if not self._until_latest and time.monotonic() - given > self._patience:
                yield None
                given = time.monotonic()


def _with_topic(connection: Connection | str) -> Connection:
    if isinstance(connection, str):
        try:
            connection = Connection.from_url(connection)
        except ValueError as error:
            raise UsageError(str(error)) from error
    if connection.topic is None:
        raise UsageError("which topic? kafka://HOST:PORT/TOPIC")
    return connection

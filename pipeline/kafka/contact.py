"""What a reader knows of the cluster itself: where its partitions end now, and whether it answers.

That nothing comes says nothing: it is so where there is nothing, where the cluster is slow, and
where it is away. Only an answer to the question for the ends tells them apart.
"""

import logging
import math
import time
from collections.abc import Callable, Iterable

from kafka import KafkaConsumer, TopicPartition
from kafka.errors import RetriableError, UnknownTopicOrPartitionError

from kafka_client.clients import Connection, KafkaUnavailable, explained

ASK_MS = 2_000
FRESH_S = 1.0
AWAY_S = 120.0
LOOK_S = 5.0

Ends = dict[TopicPartition, int]


class Contact:
    """Asks through a reader's consumer. An outage is ridden out for AWAY_S, then it is an error."""

    def __init__(self, connection: Connection, consumer: KafkaConsumer) -> None:
        self._connection = connection
        self._consumer = consumer
        self._answered = -math.inf
        self._away: float | None = None
        self._looked: float | None = None

    @property
    def fresh(self) -> bool:
        """Whether an answer is so young that little can have come since."""
        return time.monotonic() - self._answered < FRESH_S

    def ends(self, partitions: Iterable[TopicPartition]) -> Ends | None:
        """The offset after the last stable record of each, asked now; None while the cluster does
        not answer. Raises KafkaUnavailable where it has not for AWAY_S, or refuses us."""
        return self._answer(self._consumer.end_offsets, partitions)

    def beginning(self, partition: TopicPartition) -> int | None:
        """The first offset that is kept, as `ends`."""
        found = self._answer(self._consumer.beginning_offsets, [partition])
        return None if found is None else found[partition]

    def heard(self) -> None:
        """Records came: the cluster is there, and silence begins anew."""
        self._away, self._looked = None, time.monotonic()

    def silence(self, caught_up: bool) -> int:
        """The ms since the last look or record in which it is certain that nothing came.

        What passed without contact, while the cluster was away or this job stood still, does not
        count: those who write may have stood still as well, and will go on where they were.
        """
        now, since = time.monotonic(), self._looked
        self._looked = now if caught_up else None
        return int(min(now - since, LOOK_S) * 1000) if caught_up and since is not None else 0

    def _answer(
        self, ask: Callable[..., Ends], partitions: Iterable[TopicPartition]
    ) -> Ends | None:
        doing = f"cannot read, and nothing was heard for {AWAY_S:.0f} s"
        try:
            with explained(self._connection, doing):
                found = _asked(ask, list(partitions))
        except KafkaUnavailable as error:
            if not isinstance(error.__cause__, RetriableError | OSError) or self._is_long():
                raise
            return None
        self._answered, self._away = time.monotonic(), None
        return found

    def _is_long(self) -> bool:
        """Whether the outage that this belongs to has been too long."""
        if self._away is None:
            self._away = time.monotonic()
            logging.getLogger(__name__).warning(
                "Kafka at %s does not answer; waiting up to %.0f s",
                self._connection.bootstrap,
                AWAY_S,
            )
        return time.monotonic() - self._away > AWAY_S


def _asked(ask: Callable[..., Ends], partitions: list[TopicPartition]) -> Ends:
    try:
        return ask(partitions, timeout_ms=ASK_MS)
    except KeyError as error:  # kafka-python's answer where it knows no leader of one
        raise UnknownTopicOrPartitionError(f"no leader of {error}") from error

"""A broker for as long as someone wants it: what `phia broker` does."""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

from kafka_client.clients import Connection
from kafka_client.topics import create_topics
from pipeline.broker.errors import BrokerError
from pipeline.broker.process import Broker


def serve(
    folder: str | os.PathLike[str],
    port: int = 0,
    topics: Mapping[str, int] | None = None,
    progress: Callable[[str], None] = print,
) -> None:
    """Run a broker until Ctrl-C or SIGTERM, then stop it in order; call it in the main thread.

    `topics` are the partitions of each topic to create where it is missing. `progress` gets one
    line a step; the line when it is ready holds the address. Raises BrokerError where the broker
    does not start or dies, KafkaUnavailable where a topic cannot be made.
    """
    try:
        with _sigterm_as_interrupt(), Broker(folder, port, progress=progress) as broker:
            if topics:
                create_topics(Connection(broker.bootstrap), topics)
            progress(f"Kafka is at kafka://{broker.bootstrap} (Ctrl-C ends it)")
            while broker.alive:
                time.sleep(0.2)
            raise BrokerError(f"the broker at {broker.bootstrap} has ended: see {broker.log}")
    except KeyboardInterrupt:
        progress("stopped")


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """While this lasts SIGTERM acts as Ctrl-C does, so that everything open is closed."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

"""Polls of a consumer some of whose partitions are paused at times."""

from typing import Any

from kafka import TopicPartition


def poll(client: Any, timeout_ms: int) -> dict[TopicPartition, list[Any]]:
    """What the client's own `poll` gives, and raises.

    kafka-python (3.0.12, `Fetcher.fetched_records`) keeps what it has of a partition that is
    paused, and gives it, once that is resumed, as soon as nothing else is in line. It takes a fetch
    in line that is used up for something: where no other partition has more to give, one that was
    resumed would stand still for ever. So what is used up is taken out of line.
    """
    fetcher = getattr(client, "_fetcher", None)
    if fetcher is not None and not getattr(fetcher, "_next_partition_records", True):
        fetcher._next_partition_records = None
    polled: dict[TopicPartition, list[Any]] = client.poll(timeout_ms=timeout_ms)
    return polled

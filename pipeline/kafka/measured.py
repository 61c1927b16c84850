"""What a reader of Kafka tells of itself after each batch."""

import time
from collections import Counter
from collections.abc import Mapping

from pipeline.kafka.reading import Place, split_place
from transforms.core.late import BEFORE_ALL
from transforms.measures import count, observe, show


def tell_batch(records: int, size: int, us: int) -> None:
    """Tells of a gathered batch, unless it is empty: its records, bytes, and the µs it took."""
    if records:
        observe("batch_records", records)
        observe("batch_bytes", size)
        observe("stage_us", us, "read")


def tell_reader(number: int, behind: Mapping[Place, int], watermark: int) -> None:
    """Tells where reader `number` stands: the records of each partition that it has not given
    yet, and its watermark, ms."""
    reader = str(number)
    left: Counter[str] = Counter()
    for place, records in behind.items():
        left[split_place(place)[0]] += records
    for source, records in left.items():
        show("consumer_lag", records, source, reader)
        count("lost", 0, source)  # an increase from nothing at all is none to Prometheus
    show("partitions_behind", sum(records > 0 for records in behind.values()), reader)
    if watermark > BEFORE_ALL:
        show("watermark_ms", watermark, reader)
        show("watermark_lag_ms", int(time.time() * 1000) - watermark, reader)

"""What a run has written, to a folder or to the sequence topic, as tables in the order found."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chaos.mirror import ends_of, messages_of
from kafka_client.clients import Connection
from schemas.codec import decode_batch
from schemas.outputs import TOMBSTONES
from schemas.sequences import MS, sequence_schema
from schemas.spec import Spec


def of_folder(folder: Path, name: str, schema: pa.Schema) -> pa.Table:
    """An output of a folder, all its files together."""
    files = sorted((folder / name).glob("*.parquet"))
    return pa.concat_tables([schema.empty_table(), *(_read(file, schema) for file in files)])


def of_topic(topic: Connection, spec: Spec) -> tuple[pa.Table, pa.Table]:
    """The sequences and tombstones of a sequence topic, as far as it goes now. Raises Failure."""
    schema = sequence_schema(spec)
    tables, erased = [schema.empty_table()], list[tuple[str, int]]()
    for message in messages_of(topic, ends_of(topic, str(topic.topic))):
        if message.value is None:
            (time,) = [value for name, value in message.headers if name == "phia-time"]
            erased.append((message.key.decode(), int(time)))
        else:
            batch = decode_batch(message.value, schema)
            tables.append(pa.Table.from_batches([batch]).select(schema.names).cast(schema))
    users = pa.array([user for user, _ in erased], pa.string())
    times = pa.array([time for _, time in erased], pa.int64()).cast(MS)
    return pa.concat_tables(tables), pa.table([users, times], schema=TOMBSTONES)


def _read(file: Path, schema: pa.Schema) -> pa.Table:
    return pq.read_table(file, partitioning=None).select(schema.names).cast(schema)

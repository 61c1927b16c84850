"""How batches travel between the stages and stay in their state: as Arrow IPC streams."""

import pyarrow as pa
from apache_beam.coders import Coder, registry

from schemas.codec import encode_batch

Tagged = tuple[str, pa.RecordBatch]
"""What the readers give: rows of one of the outputs, or OBSERVATIONS."""

OBSERVATIONS = "observations"
"""The tag of decoded observations on their way to be cut into sessions."""


_SMALL_BYTES = 4_096
"""Below this a batch is mostly its schema, which is not compressed."""


class RecordBatchCoder(Coder):  # type: ignore[misc]
    """One record batch as an Arrow IPC stream, its schema's metadata included.

    Columns are compressed by LZ4, to a third as a rule: a runner moves each byte some ten times on
    its way from a reader into a shard's state and back.
    """

    def encode(self, value: pa.RecordBatch) -> bytes:
        """The bytes of a batch."""
        return encode_batch(value, None if value.nbytes < _SMALL_BYTES else "lz4")

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """The batch of these bytes, compressed or, as earlier jobs wrote all, not."""
        return pa.ipc.open_stream(encoded).read_next_batch()

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """About its bytes. Beam asks for some elements of each step, and would encode them."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        """Equal batches may have other bytes: by their offsets, or by what nulls hide."""
        return False

    def to_type_hint(self) -> type:
        """The type that this codes."""
        return pa.RecordBatch  # type: ignore[no-any-return]


registry.register_coder(pa.RecordBatch, RecordBatchCoder)


def whole(table: pa.Table) -> pa.RecordBatch:
    """A table as one batch, also where it has no rows."""
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=table.schema)

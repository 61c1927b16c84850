"""Rows of sequences as flat arrays, and rows made anew of some of their tokens.

Legend (numpy arrays): R rows, T tokens of all rows, E contents of all rows, R1 = R + 1.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.sequences import CONTENT

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_TOKEN_COLUMNS = ("token_type", "token_id", "token_time")
_CATEGORY = "category_"


@dataclass(frozen=True)
class TokenRows:
    """Row r has the tokens offsets[r]:offsets[r + 1]; times are in ms.

    `row_T` and `row_E` are the row of each token and content; `content_E` is the token that is the
    content's Φ, and its a is the next one. `contents_before_T1` says how many contents come before
    each token, and in the end all; row r has those from content_offsets[r] to
    content_offsets[r + 1].
    """

    offsets_R1: Ints
    type_T: Ints
    id_T: Ints
    time_T: Ints
    new_contents_R: Ints
    row_T: Ints
    content_E: Ints
    row_E: Ints
    contents_before_T1: Ints
    content_offsets_R1: Ints

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> Self:
        """The tokens of a batch of sequences (schemas/sequences.py)."""
        type_T, id_T, time_T = (ints(batch[name].flatten()) for name in _TOKEN_COLUMNS)
        return cls.of_arrays(tokens_of(batch), type_T, id_T, time_T, ints(batch["new_contents"]))

    @classmethod
    def of_arrays(
        cls, lengths_R: Ints, type_T: Ints, id_T: Ints, time_T: Ints, new_contents_R: Ints
    ) -> Self:
        """Rows of so many tokens each."""
        offsets_R1 = sums_before(lengths_R)
        row_T = np.repeat(np.arange(len(lengths_R)), lengths_R)
        content_E = np.flatnonzero(type_T == CONTENT)
        before_T1 = sums_before(type_T == CONTENT)
        tokens = (offsets_R1, type_T, id_T, time_T, new_contents_R, row_T)
        return cls(*tokens, content_E, row_T[content_E], before_T1, before_T1[offsets_R1])

    def only(self, mask_R: Bools) -> Self:
        """Some of the rows."""
        mask_T = mask_R[self.row_T]
        flat = (self.type_T[mask_T], self.id_T[mask_T], self.time_T[mask_T])
        lengths_R = np.diff(self.offsets_R1)[mask_R]
        return self.of_arrays(lengths_R, *flat, self.new_contents_R[mask_R])


def tokens_of(batch: pa.RecordBatch) -> Ints:
    """[R] n, the tokens of each row."""
    return ints(batch["token_type"].value_lengths())


def with_tokens(batch: pa.RecordBatch, rows: TokenRows, keep_T: Bools) -> pa.RecordBatch:
    """The rows with these tokens alone, and with what belongs to the contents among them.

    `new_contents` stays as it is: it is the session's, and may be more than a row holds. `rows` is
    `TokenRows.of(batch)`.
    """
    keep_E = keep_T[rows.content_E]
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    for name in batch.schema.names:
        if name in _TOKEN_COLUMNS:
            columns[name] = _filtered(columns[name], rows.offsets_R1, keep_T)
        elif name.startswith(_CATEGORY):
            columns[name] = _filtered(columns[name], rows.content_offsets_R1, keep_E)
    contents_R = np.diff(sums_before(keep_E)[rows.content_offsets_R1])
    columns["contents"] = pa.array(contents_R, batch["contents"].type)
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=batch.schema)


def _filtered(lists: pa.ListArray, offsets_R1: Ints, keep: Bools) -> pa.ListArray:
    """The lists with those values alone that are to be kept."""
    offsets = pa.array(sums_before(keep)[offsets_R1], pa.int32())
    return pa.ListArray.from_arrays(offsets, lists.flatten().filter(pa.array(keep)), lists.type)


def sums_before(values: npt.NDArray[np.generic]) -> Ints:
    """[n + 1] the sum of all values before each place."""
    return np.concatenate([[0], np.cumsum(values, dtype=np.int64)])


def ints(column: pa.Array) -> Ints:
    """A column of integers or times as int64."""
    return np.asarray(column).astype(np.int64, copy=False)

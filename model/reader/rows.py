"""Rows of sequences: checked as they come in, and turned into tensors as they go out.

Legend: N rows, B sequences of a batch, T tokens, E contents, B1 = B + 1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from model.batch import Category, SequenceBatch
from model.reader.progress import Progress
from model.reader.seen import Bools, Ints, Seen, ids_of, users_of
from schemas.failures import Failure, UsageError
from schemas.fingerprint import fingerprint
from schemas.sequences import ACTION, CONTENT, FIRST_FEATURE, sequence_schema
from schemas.spec import Spec

Choose = Callable[[pa.RecordBatch], pa.RecordBatch]
"""Which rows are trained on, and in what form: some of the rows, in their order and under their
ids. What becomes of a row must depend on that row alone."""


@dataclass(frozen=True)
class Rows:
    """N rows, and what is looked at of each: its id, user and end, and how many tokens it has."""

    batch: pa.RecordBatch
    seen: Seen
    tokens_N: Ints

    @classmethod
    def of(cls, batch: pa.RecordBatch) -> "Rows":
        """The rows of a batch."""
        seen = Seen(
            ids_of(batch["sequence_id"].to_pylist()),
            users_of(batch["user_id"].to_pylist()),
            _ints(batch["session_end"]),
        )
        return cls(batch, seen, _lengths(batch["token_id"]))

    def __len__(self) -> int:
        return len(self.tokens_N)

    def where(self, mask_N: Bools) -> "Rows":
        """Those rows where the mask is true."""
        if mask_N.all():
            return self
        return Rows(
            self.batch.filter(pa.array(mask_N)), self.seen.at(mask_N), self.tokens_N[mask_N]
        )

    def part(self, start: int, stop: int) -> "Rows":
        """The rows from one number up to another."""
        here = slice(start, stop)
        part = self.batch.slice(start, stop - start)
        return Rows(part, self.seen.at(here), self.tokens_N[here])

    def chosen(self, choose: Choose | None) -> tuple["Rows", Ints]:
        """The rows that are trained on, and the number of each of them among these.

        Raises UsageError where `choose` gives others than some of them, in order.
        """
        if choose is None or not len(self):
            return self, np.arange(len(self))
        batch = choose(self.batch)
        found = pc.index_in(batch["sequence_id"], value_set=self.batch["sequence_id"])
        at = np.asarray(found.fill_null(-1), np.int64)
        if (np.diff(at, prepend=-1) <= 0).any():
            raise UsageError("choose must give some of the rows that it was given, in their order")
        return Rows(batch, self.seen.at(at), _lengths(batch["token_id"])), at


class Checking:
    """What rows must be like to be trained on for a spec."""

    def __init__(self, spec: Spec) -> None:
        self.schema = sequence_schema(spec)
        self.fingerprint = fingerprint(spec)
        self._categories = [f"category_{name}" for name in spec.categories]
        self._types = FIRST_FEATURE + len(spec.features)
        self._masks = 1 << len(spec.actions)

    def checked(self, batch: pa.RecordBatch, where: str) -> pa.RecordBatch:
        """The columns of the schema. Raises Failure with the first thing that is wrong."""
        batch = batch.select(self.schema.names)
        for name in self.schema.names:
            if batch[name].null_count or _inner_nulls(batch[name]):
                raise Failure(f"{where}: column {name} has nulls, which a sequence never has")
        self.check_spec(pc.unique(batch["spec"]).to_pylist(), where)
        wrong = self._wrong(batch)
        if wrong:
            raise Failure(f"{where}: {wrong}")
        return batch

    def check_spec(self, found: Sequence[str | None], where: str) -> None:
        """Raises Failure where sequences are of another spec."""
        for other in found:
            if other != self.fingerprint:
                raise Failure(
                    f"{where}: is of the spec with fingerprint {other}; "
                    f"the one given has {self.fingerprint}"
                )

    def _wrong(self, batch: pa.RecordBatch) -> str | None:
        """What is wrong with the tokens and contents of rows."""
        tokens_N = _lengths(batch["token_id"])
        for name in ("token_type", "token_time"):
            if (_lengths(batch[name]) != tokens_N).any():
                return f"{name} and token_id have lists of different lengths"
        types_T, ids_T = _ints(batch["token_type"].flatten()), _ints(batch["token_id"].flatten())
        if len(types_T) and not 0 <= types_T.min() <= types_T.max() < self._types:
            return f"a token of type {types_T.max()}; the spec has types 0 to {self._types - 1}"
        return self._wrong_contents(batch, types_T == CONTENT, tokens_N) or self._wrong_pairs(
            types_T, ids_T, np.cumsum(tokens_N)
        )

    def _wrong_contents(
        self, batch: pa.RecordBatch, is_content_T: Bools, tokens_N: Ints
    ) -> str | None:
        before_T = np.concatenate([[0], np.cumsum(is_content_T)])
        ends_N = np.cumsum(tokens_N)
        contents_N = before_T[ends_N] - before_T[ends_N - tokens_N]
        if (contents_N != _ints(batch["contents"])).any() or (contents_N < 1).any():
            return "contents is not the number of contents among the tokens, of at least one"
        for name in self._categories:
            if (_lengths(batch[name]) != contents_N).any():
                return f"{name} has not one list for each content"
        return None

    def _wrong_pairs(self, types_T: Ints, ids_T: Ints, ends_N: Ints) -> str | None:
        is_content_T, is_action_T = types_T == CONTENT, types_T == ACTION
        unpaired = (is_content_T[:-1] != is_action_T[1:]).any() or is_action_T[:1].any()
        if unpaired or is_content_T[ends_N - 1].any():
            return "a content that no action set follows, or an action set without a content"
        if (ids_T[is_content_T] < 1).any():
            return "a content whose id is not positive"
        masks = ids_T[is_action_T]
        if ((masks < 0) | (masks >= self._masks)).any():
            return f"a set of actions that is not within 0 to {self._masks - 1}"
        return None


def batch_of(parts: Sequence[pa.RecordBatch], progress: Progress | None = None) -> SequenceBatch:
    """Checked rows as tensors on the CPU."""
    (rows,) = pa.Table.from_batches(parts).combine_chunks().to_batches()
    contents_B = _ints(rows["contents"])
    return SequenceBatch(
        _offsets(rows["token_id"]),
        torch.from_numpy(_ints(rows["token_type"].flatten())),
        torch.from_numpy(_ints(rows["token_id"].flatten())),
        torch.from_numpy(_ints(rows["token_time"].flatten())),
        torch.from_numpy(np.minimum(_ints(rows["new_contents"]), contents_B)),
        {
            name.removeprefix("category_"): _category(rows[name])
            for name in rows.schema.names
            if name.startswith("category_")
        },
        tuple(rows["user_id"].to_pylist()),
        tuple(rows["sequence_id"].to_pylist()),
        torch.from_numpy(_ints(rows["session_end"])),
        progress,
    )


def _category(column: pa.ListArray) -> Category:
    lists_E = column.flatten()
    return Category(torch.from_numpy(_ints(lists_E.flatten())), _offsets(lists_E))


def _offsets(lists: pa.ListArray) -> Tensor:
    return torch.from_numpy(np.concatenate([[0], np.cumsum(_lengths(lists))]))


def _lengths(lists: pa.ListArray) -> Ints:
    return _ints(lists.value_lengths())


def _ints(column: pa.Array) -> Ints:
    """A copy of a column of numbers or times, without nulls, as numbers that may be changed."""
    if pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    return np.array(column.to_numpy(zero_copy_only=False), np.int64)


def _inner_nulls(column: pa.Array) -> bool:
    """Whether a list, or a list within one, has a null."""
    while pa.types.is_list(column.type):
        column = column.flatten()
        if column.null_count:
            return True
    return False

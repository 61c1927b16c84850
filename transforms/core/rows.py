"""Some rows of a table in some order, whose columns are gathered only when they are asked for.

A firing orders and narrows its observations several times, and needs few of their columns: the
texts, which are most of the bytes, hardly ever.
"""

import numpy as np
import pyarrow as pa

from transforms.core.arrays import Bools, Ints


class Rows:
    """The rows of `table` at `index`; a column of them is an array, gathered once."""

    def __init__(self, table: pa.Table, index: Ints | None = None) -> None:
        self._table = table
        self._index = np.arange(table.num_rows) if index is None else index
        self._columns: dict[str, pa.Array] = {}

    @property
    def num_rows(self) -> int:
        """The number of rows."""
        return len(self._index)

    @property
    def column_names(self) -> list[str]:
        """The names of the columns."""
        return list(self._table.column_names)

    def __getitem__(self, name: str) -> pa.Array:
        """A column of these rows."""
        if name not in self._columns:
            column = self._table[name]
            if column.null_count == len(column):
                self._columns[name] = pa.nulls(len(self._index), column.type)
            else:
                self._columns[name] = column.combine_chunks().take(pa.array(self._index))
        return self._columns[name]

    def take(self, which: Ints) -> "Rows":
        """The rows at these places, in their order."""
        return Rows(self._table, self._index[which])

    def filter(self, which: Bools) -> "Rows":
        """The rows where the mask is True; these themselves if that is all of them."""
        return self if which.all() else Rows(self._table, self._index[which])

    def table(self) -> pa.Table:
        """All columns of these rows."""
        if not len(self._index):
            return self._table.slice(0, 0)
        return self._table.take(pa.array(self._index))

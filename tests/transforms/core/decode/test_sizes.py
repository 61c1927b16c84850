"""The bytes of records in columns: the same in whatever batch they stand."""

import pyarrow as pa
import pytest

from transforms.core.decode.sizes import row_bytes

COLUMNS = {
    "number": (pa.array([1, None, 3], pa.int32()), [4, 0, 4]),
    "text": (pa.array(["ab", None, "é"]), [2, 0, 2]),
    "flag": (pa.array([True, None, False]), [1, 0, 1]),
    "list": (pa.array([[1, 2], None, []], pa.list_(pa.int64())), [16, 0, 0]),
    "texts": (pa.array([["a", None], [], ["bcd"]], pa.large_list(pa.string())), [1, 0, 3]),
    "record": (pa.array([{"x": 1, "y": "abc"}, None, {"x": None, "y": ""}]), [11, 0, 0]),
    "nothing": (pa.nulls(3), [0, 0, 0]),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_bytes_of_values(name: str) -> None:
    column, expected = COLUMNS[name]
    table = pa.table({name: column})
    assert row_bytes(table).tolist() == expected
    assert row_bytes(table.slice(1)).tolist() == expected[1:]
    assert row_bytes(table.take([2, 0])).tolist() == [expected[2], expected[0]]


def test_columns_add_up() -> None:
    table = pa.table({name: column for name, (column, _) in COLUMNS.items()})
    expected = [sum(sizes) for sizes in zip(*(sizes for _, sizes in COLUMNS.values()), strict=True)]
    assert row_bytes(table).tolist() == expected

"""Paths to fields of a record."""

import pytest

from schemas.paths import split_path


@pytest.mark.parametrize(
    ("path", "keys"),
    [
        ("user", ("user",)),
        ("geo.country", ("geo", "country")),
        ("a.b.c.d", ("a", "b", "c", "d")),
        (r"geo\.country", ("geo.country",)),
        (r"a\.b.c\.d", ("a.b", "c.d")),
        (r"\.", (".",)),
        (r"a\b.c", (r"a\b", "c")),
        ("größe.名前 x", ("größe", "名前 x")),
    ],
)
def test_split(path: str, keys: tuple[str, ...]) -> None:
    assert split_path(path) == keys


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b"])
def test_no_empty_keys(path: str) -> None:
    with pytest.raises(ValueError, match="empty key"):
        split_path(path)

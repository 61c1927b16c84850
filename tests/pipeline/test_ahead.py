"""Items made one step ahead come in order, and what goes wrong in making them is raised."""

from collections.abc import Iterator

import pytest

from pipeline.ahead import ahead


def made(count: int, log: list[int]) -> Iterator[int]:
    for number in range(count):
        log.append(number)
        yield number


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_all_items_come_in_order(count: int) -> None:
    assert [*ahead(made(count, []))] == [*range(count)]


def test_no_more_than_one_is_made_ahead() -> None:
    log: list[int] = []
    for number in ahead(made(10, log)):
        assert len(log) <= number + 2


def test_what_goes_wrong_is_raised_where_the_item_is_wanted() -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise OSError("the disk")

    items = ahead(broken())
    assert next(items) == 1
    with pytest.raises(OSError, match="the disk"):
        next(items)

"""Batches made ahead of their use, in a thread."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


def prefetched(items: Iterable[T], depth: int = 2) -> Generator[T]:
    """The same items, up to `depth` of them made in a thread before they are asked for.

    What making one raises is raised in its place. Closed early, it waits for the one that is
    being made, and then closes the items.
    """
    iterator = iter(items)
    with ExitStack() as end:
        if isinstance(iterator, Generator):
            end.callback(iterator.close)
        thread = end.enter_context(ThreadPoolExecutor(1, thread_name_prefix="prefetch"))
        yield from _made_by(thread, iterator, depth)


def _made_by(thread: ThreadPoolExecutor, iterator: Iterator[T], depth: int) -> Iterator[T]:
    coming: deque[Future[T]] = deque()
    try:
        coming.extend(thread.submit(next, iterator, _END) for _ in range(depth))
        while (item := coming.popleft().result()) is not _END:
            coming.append(thread.submit(next, iterator, _END))
            yield item
    finally:
        for future in coming:
            future.cancel()

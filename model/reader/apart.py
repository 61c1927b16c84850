"""Batches read in a process of their own, so that reading takes no time from the steps.

In a thread, however far ahead, reading and the steps take turns at being the one that Python runs.
The process is begun anew (spawned): it has neither this one's threads nor its GPU.
"""

import pickle
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection

import torch

from model.batch import SequenceBatch
from model.reader.state import ReaderState
from model.sampling.choosing import Choosing
from schemas.failures import Failure

Batches = Callable[[int, Choosing, ReaderState], Iterator[SequenceBatch | None]]
"""The batches of a lane from a state on; None where there is none for now."""


def read_apart(
    batches: Batches, lane: int, choosing: Choosing, start: ReaderState
) -> Generator[SequenceBatch | None]:
    """What `batches` gives, of which all arguments are pickled, in a process that is one ahead.

    With each batch `choosing` is told what its copy there has decided by then. Raises the Failure
    that is raised there, and one where the process ends for another reason.
    """
    context = get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    given = (sending, batches, lane, choosing, start)
    process = context.Process(target=_send, args=given, name=f"reader-{lane}", daemon=True)
    process.start()
    sending.close()
    try:
        with closing(receiving):
            yield from _received(receiving, choosing)
    finally:
        process.kill()
        process.join()


def _received(receiving: Connection, choosing: Choosing) -> Iterator[SequenceBatch | None]:
    while True:
        try:
            said, news, goes_on = receiving.recv()
        except EOFError:
            raise Failure("the process that reads sequences has ended before them") from None
        choosing.follow(news)
        if isinstance(said, Failure):
            raise said
        if not goes_on:
            return
        yield said


def _send(
    sending: Connection, batches: Batches, lane: int, choosing: Choosing, start: ReaderState
) -> None:
    """The process. Signals are for the one that it reads for, which ends this one; it also ends
    where nobody is there any more to take what it reads."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)

    def send(said: SequenceBatch | Failure | None, goes_on: bool = True) -> None:
        # Not `send`, by which tensors go one by one through shared memory.
        sending.send_bytes(pickle.dumps((said, choosing.news(), goes_on), protocol=5))

    with suppress(BrokenPipeError):
        try:
            for batch in batches(lane, choosing, start):
                send(batch)
            send(None, goes_on=False)
        except Failure as failure:
            send(failure)

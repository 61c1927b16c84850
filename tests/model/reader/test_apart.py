"""Sequences read in a process of their own: the same ones, and an end in good order."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import active_children
from pathlib import Path

import pytest
import torch

from model.batch import SequenceBatch
from model.reader.apart import read_apart
from model.reader.files import SequenceFiles
from model.reader.state import ReaderState
from model.sampling.choosing import Choosing
from model.sampling.sampler import Sampler
from model.sampling.steering import Steering
from model.sampling.stochastic_length import StochasticLength
from schemas.failures import Failure
from tests.model import shop

BROKEN = "a shelf is broken"


@dataclass(frozen=True)
class Shelf:
    """A folder's sequences; at the end of them what `then` says."""

    folder: Path
    then: str = "end"

    def __call__(
        self, lane: int, choosing: Choosing, start: ReaderState
    ) -> Iterator[SequenceBatch | None]:
        """As a run wants them."""
        yield from SequenceFiles(self.folder, shop.SPEC, tokens=400, choose=choosing, start=start)
        while self.then == "for ever":
            yield None
        if self.then == "fails":
            raise Failure(BROKEN)
        if self.then == "dies":
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop.folder(tmp_path_factory.mktemp("made"), users=10, sessions=10)


def choosing() -> Choosing:
    length = StochasticLength.of(shop.SPEC, shop.SPEC.history.tokens, 1.5, "recency", 0)
    return Choosing(Sampler(), length, Steering(8.0, first=20, memory_ms=60_000))


def same(one: SequenceBatch | None, other: SequenceBatch | None) -> bool:
    assert one is not None
    assert other is not None
    tensors = (
        (one.id_T, other.id_T),
        (one.time_T, other.time_T),
        (one.offsets_B1, other.offsets_B1),
    )
    return all(torch.equal(*pair) for pair in tensors) and one.progress == other.progress


def test_batches_and_what_was_chosen_are_the_same(folder: Path) -> None:
    here, there, begun = choosing(), choosing(), ReaderState()
    right = list(Shelf(folder)(0, here, ReaderState()))
    found = list(read_apart(Shelf(folder), 0, there, begun))
    assert len(found) == len(right) > 3
    assert all(same(*pair) for pair in zip(found, right, strict=True))
    assert there.state() == here.state()
    assert len(there.state()["decided"]) == 100
    for batch in right[:2]:
        assert batch is not None
        begun.advance(batch.progress)
    assert same(next(read_apart(Shelf(folder), 0, there, begun)), right[2])


def test_a_failure_comes_in_its_place(folder: Path) -> None:
    batches = read_apart(Shelf(folder, "fails"), 0, choosing(), ReaderState())
    with pytest.raises(Failure, match=f"^{BROKEN}$"):
        assert len([*batches]) == 0


def test_a_process_that_dies_is_a_failure(folder: Path) -> None:
    batches = read_apart(Shelf(folder, "dies"), 0, choosing(), ReaderState())
    with pytest.raises(Failure, match="has ended before"):
        assert len([*batches]) == 0


def test_closed_early_it_ends_the_process(folder: Path) -> None:
    with closing(read_apart(Shelf(folder, "for ever"), 0, choosing(), ReaderState())) as batches:
        while next(batches) is not None:
            pass
        assert [child.name for child in active_children()] == ["reader-0"]
    assert not active_children()

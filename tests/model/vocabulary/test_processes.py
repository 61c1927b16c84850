"""Tables shared by 1 to 4 processes are the same, and so they are after going on as others.

A course of steps is taken in two halves. Any half can be of any number of processes.
"""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kernels.hashing import hashed, uniform
from model.exchange import Exchange
from model.vocabulary.catalogue import Catalogue
from model.vocabulary.settings import RowwiseAdamW, VocabularySettings
from model.vocabulary.sharding import cell_of, owner_of
from model.vocabulary.table import EmbeddingTable
from tests.model.processes import in_group, together

LANES, WIDTH, HALF, LAST = 4, 5, 6, 12
COURSES = ((2, 2), (4, 4), (3, 3), (2, 4), (4, 1), (1, 3))
"""Processes of the first half and of the second."""

State = dict[str, torch.Tensor]


class Run:
    """A table and a catalogue that are trained on what lanes bring."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange = exchange
        settings = VocabularySettings.model_validate(
            {"admit_after": 2, "capacity": 40, "max_age": "4s", "counters": 2**16}
        )
        self.table = EmbeddingTable("a", WIDTH, settings, RowwiseAdamW(), exchange, 5)
        self.catalogue = Catalogue(exchange)

    def take(self, steps: range) -> None:
        """The steps of this process's lanes."""
        for step in steps:
            lanes = range(self.exchange.rank, LANES, self.exchange.world)
            id_N = torch.cat([ids_of(step, lane) for lane in lanes])
            initial_NM = uniform(3, id_N.unsqueeze(1) % 7, torch.arange(WIDTH))
            now = 1_000_000 + 1_000 * step
            fetched = self.table.fetch(id_N, now, initial=initial_NM.__getitem__)
            pull_NM = uniform(4, id_N.unsqueeze(1), torch.arange(WIDTH) + step) - 0.5
            torch.autograd.backward((fetched.vectors_UM[fetched.inverse_N] * pull_NM).sum())
            self.table.apply(fetched, lr=0.05)
            self.catalogue.add(id_N[fetched.new_N], now)
            self.catalogue.remove(self.table.evict(now))

    def load(self, folder: Path) -> None:
        """Goes on from the states in a folder."""
        self.table.load(load_file(file) for file in sorted(folder.glob("table-*")))
        self.catalogue.load(load_file(folder / "catalogue-0"))

    def save(self, folder: Path) -> None:
        """Writes this process's states into a folder."""
        folder.mkdir(exist_ok=True)
        save_file(self.table.state(), folder / f"table-{self.exchange.rank}")
        save_file(self.catalogue.state(), folder / f"catalogue-{self.exchange.rank}")


def ids_of(step: int, lane: int) -> torch.Tensor:
    """Ids of a lane at a step: some in all lanes and steps, others move on. Lanes differ in how
    many they have, and the third has none at times."""
    count = 30 + 5 * lane if (lane, step % 3) != (2, 1) else 0
    return hashed(step * LANES + lane, torch.arange(count)) % 40 + torch.where(
        torch.arange(count) % 3 == 0, 1, 8 * step + 1
    )


def first_half(exchange: Exchange, folder: Path) -> None:
    run = Run(exchange)
    run.take(range(HALF))
    run.save(folder / f"half-{exchange.world}")


def second_half(exchange: Exchange, first: int, folder: Path) -> None:
    run = Run(exchange)
    run.load(folder / f"half-{first}")
    run.take(range(HALF, LAST))
    run.save(folder / f"whole-{first}-{exchange.world}")


def work(rank: int, folder: Path) -> None:
    """All halves of several processes, by four, of which some only watch at times."""
    for world in (2, 3, 4):
        if rank < world:
            in_group(
                *(rank, world, folder / f"meet-{world}"),
                lambda: first_half(Exchange.of_group(), folder),
            )
    for first, second in COURSES:
        if rank < second and second > 1:
            in_group(
                *(rank, second, folder / f"meet-{first}-{second}"),
                lambda first=first: second_half(Exchange.of_group(), first, folder),  # type: ignore[misc]
            )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All courses, taken."""
    folder = tmp_path_factory.mktemp("courses")
    first_half(Exchange.alone(), folder)
    second_half(Exchange.alone(), 1, folder)
    together(4, work, folder)
    second_half(Exchange.alone(), 4, folder)
    return folder


def joined(folder: Path) -> tuple[State, State]:
    """What all processes hold, by id; the counters, by cell."""
    states = [load_file(file) for file in sorted(folder.glob("table-*"))]
    both = {name: torch.cat([state[name] for state in states]) for name in states[0]}
    by_id, by_cell = both["ids"].argsort(), both["cells"].argsort()
    of_cell = ("cells", "counts", "since_halving")
    rows = {name: column[by_id] for name, column in both.items() if name not in of_cell}
    return rows, {name: both[name][by_cell] for name in of_cell}


@pytest.mark.parametrize(("first", "second"), COURSES)
def test_any_number_of_processes_ends_with_the_same(folder: Path, first: int, second: int) -> None:
    rows, counters = joined(folder / "whole-1-1")
    others, other_counters = joined(folder / f"whole-{first}-{second}")
    for name in ("ids", "step", "first_seen", "last_seen"):
        assert torch.equal(rows[name], others[name]), name
    for name in ("vectors", "m", "v"):
        torch.testing.assert_close(others[name], rows[name], rtol=2e-5, atol=1e-6)
    for name, counted in counters.items():
        assert torch.equal(counted, other_counters[name]), name
    alone = load_file(folder / "whole-1-1" / "catalogue-0")
    for rank in range(second):
        other = load_file(folder / f"whole-{first}-{second}" / f"catalogue-{rank}")
        assert all(torch.equal(kept, other[name]) for name, kept in alone.items())


def test_the_course_has_all_that_can_go_wrong(folder: Path) -> None:
    """Rows shared by lanes, ids evicted, ids never admitted, and steps that moved the vectors."""
    half, _ = joined(folder / "half-1")
    whole, counters = joined(folder / "whole-1-1")
    assert 20 < len(whole["ids"]) <= 42
    assert len(set(half["ids"].tolist()) - set(whole["ids"].tolist())) > 10
    assert whole["step"].max() >= 10
    assert counters["counts"].any()
    assert load_file(folder / "whole-1-1" / "catalogue-0")["ids"].tolist() != sorted(
        whole["ids"].tolist()
    )


def test_each_process_holds_its_own_cells_and_a_fair_part() -> None:
    id_N = torch.arange(100_000)
    assert torch.equal(owner_of(id_N, 3), cell_of(id_N) % 3)
    counts = torch.bincount(owner_of(id_N, 4), minlength=4)
    assert counts.min() > 24_000

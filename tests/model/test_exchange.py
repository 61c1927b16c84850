"""What processes send arrives, of whatever length, in the order of rank."""

from pathlib import Path

import torch

from model.exchange import Exchange
from tests.model.processes import in_group, together

WORLD = 3


def test_three_processes_tell_each_other(tmp_path: Path) -> None:
    together(WORLD, work, tmp_path)


def work(rank: int, folder: Path) -> None:
    in_group(rank, WORLD, folder / "meet", lambda: tell(Exchange.of_group()))


def tell(exchange: Exchange) -> None:
    rank = exchange.rank
    assert (exchange.world, rank in range(WORLD)) == (WORLD, True)
    whole = torch.tensor([rank, 1])
    assert exchange.sum_(whole) is whole
    assert whole.tolist() == [3, WORLD]
    lengths = (0, 2, 1)  # of what each rank has
    found = exchange.gather(torch.full((lengths[rank], 2), float(rank)))
    assert [part.tolist() for part in found] == [
        [[float(one)] * 2] * length for one, length in enumerate(lengths)
    ]
    assert [part.tolist() for part in exchange.gather(torch.zeros(0))] == [[], [], []]
    counts = [[(2 * one + to) % 4 * (one != to) for to in range(WORLD)] for one in range(WORLD)]
    parts = [torch.full((count,), 10 * rank + to) for to, count in enumerate(counts[rank])]
    sent_here = [row[rank] for row in counts]
    assert sent_here != counts[rank]
    for lengths_known in (None, sent_here):
        received = exchange.to_owners(parts, lengths_known)
        assert [part.tolist() for part in received] == [
            [10 * one + rank] * length for one, length in enumerate(sent_here)
        ]
    exchange.barrier()


def test_alone_nothing_is_sent() -> None:
    exchange, tensor = Exchange.alone(), torch.arange(3)
    assert exchange.sum_(tensor) is tensor
    assert exchange.gather(tensor) == [tensor]
    assert exchange.to_owners([tensor]) == [tensor]
    exchange.barrier()

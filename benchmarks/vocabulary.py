"""Ids without end through a table of bounded memory, beside a dict and a table shared by hash.

    python -m benchmarks.vocabulary [--ids 20000000] [--capacity 1000000]
    python -m benchmarks.vocabulary --only table --ids 1000000000 --batch 1000000 --device cuda

Ids follow a Zipf law over the newest ten million, and every fourth draw (--draws-a-new-id) makes
room for a newer one, so what is popular moves on for ever. Each batch is looked up, trained on and,
where a table can, evicted from. Making the ids does not count. Each contender has a process of its
own.
"""

import argparse
import json
import math
import sys
import tempfile
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.measure import machine, measured, module, table

if TYPE_CHECKING:
    from torch import Tensor

WIDTH, BATCH, SPAN = 16, 20_000, 10_000_000
BATCH_MS = 1_000
RATE = 0.01
CONTENDERS = ("table", "admitted", "hashed", "dict", "bag")
NAMES = {
    "table": "EmbeddingTable, by capacity",
    "admitted": "EmbeddingTable, at the second sighting",
    "hashed": "HashedTable",
    "dict": "OrderedDict of ids, oldest out",
    "bag": "EmbeddingBag of hashes, SparseAdam",
}


class Contender(Protocol):
    """Takes batches of ids, and says what it holds."""

    evicted: int

    def step(self, id_N: "Tensor", now_ms: int) -> None:
        """Looks the ids up and trains their vectors."""

    def held(self) -> tuple[int, int]:
        """Rows and bytes."""


class Ours:
    """A table of this project."""

    def __init__(self, capacity: int, kind: str, device: str) -> None:
        from model.exchange import Exchange
        from model.vocabulary.hashed import embedding_table
        from model.vocabulary.settings import RowwiseAdamW, VocabularySettings

        settings = {
            "table": VocabularySettings(capacity=capacity),
            "admitted": VocabularySettings(capacity=capacity, admit_after=2),
            "hashed": VocabularySettings(kind="hashed", buckets=capacity),
        }[kind]
        alone = Exchange.alone()
        self.table = embedding_table("a", WIDTH, settings, RowwiseAdamW(), alone, 0, device)
        self.evicted = 0

    def step(self, id_N: "Tensor", now_ms: int) -> None:
        """A fetch, a step with a gradient of ones, an eviction."""
        fetched = self.table.fetch(id_N, now_ms)
        fetched.vectors_UM.grad = fetched.vectors_UM.new_ones(fetched.vectors_UM.shape)
        self.table.apply(fetched, RATE)
        self.evicted += len(self.table.evict(now_ms))

    def held(self) -> tuple[int, int]:
        """Rows and bytes."""
        return len(self.table), self.table.nbytes


class Dict:
    """The usual way in Python: a dict from ids to rows, in order of use; the same optimizer."""

    def __init__(self, capacity: int) -> None:
        import torch

        self.rows, self.free = OrderedDict[int, int](), list(range(capacity + BATCH))
        self.capacity, self.evicted = capacity, 0
        self.vector_RM = torch.zeros(capacity + BATCH, WIDTH)
        self.m_RM, self.v_R = torch.zeros_like(self.vector_RM), self.vector_RM[:, 0].clone()
        self.step_R = torch.zeros(capacity + BATCH, dtype=torch.int64)

    def step(self, id_N: "Tensor", now_ms: int) -> None:
        """One id at a time."""
        import torch

        from kernels.rowwise_adamw import rowwise_adamw_

        id_U = torch.unique(id_N)
        row_U = torch.tensor([self._row(one) for one in id_U.tolist()])
        grad_UM = torch.ones(len(id_U), WIDTH)
        state = (self.vector_RM, self.m_RM, self.v_R, self.step_R)
        rowwise_adamw_(*state, row_U, grad_UM, lr=RATE, betas=(0.9, 0.98), eps=1e-8)
        surplus = max(0, len(self.rows) - self.capacity)
        gone = [self.rows.popitem(last=False)[1] for _ in range(surplus)]
        for column in state:
            column[gone] = 0
        self.free += gone
        self.evicted += len(gone)

    def _row(self, one: int) -> int:
        row = self.rows.get(one)
        if row is None:
            row = self.rows[one] = self.free.pop()
            self.vector_RM[row].normal_(0, 0.02)
        else:
            self.rows.move_to_end(one)
        return row

    def held(self) -> tuple[int, int]:
        """Rows, and bytes of the tensors and, about, of the dict: 200 an id."""
        tensors = (self.vector_RM, self.m_RM, self.v_R, self.step_R)
        return len(self.rows), sum(one.nbytes for one in tensors) + 200 * len(self.rows)


class Bag:
    """What PyTorch brings along: rows shared by hash, for ever."""

    def __init__(self, capacity: int) -> None:
        import torch

        self.bag = torch.nn.EmbeddingBag(capacity, WIDTH, mode="sum", sparse=True)
        self.optimizer = torch.optim.SparseAdam(self.bag.parameters(), lr=RATE)
        self.used_R = torch.zeros(capacity, dtype=torch.bool)
        self.evicted = 0

    def step(self, id_N: "Tensor", now_ms: int) -> None:
        """Forward, backward, a step."""
        import torch

        row_N = (id_N * 0x5851F42D4C957F2D).remainder(len(self.used_R))
        self.used_R[row_N] = True
        self.optimizer.zero_grad()
        torch.autograd.backward(self.bag(row_N, torch.arange(len(row_N))).sum())
        self.optimizer.step()

    def held(self) -> tuple[int, int]:
        """Rows used, and bytes of the table with the state of its optimizer."""
        return int(self.used_R.sum()), 3 * self.bag.weight.nbytes


def contender(name: str, capacity: int, device: str) -> Contender:
    """The contender of a name; only ours go to a device."""
    if name == "dict":
        return Dict(capacity)
    return Bag(capacity) if name == "bag" else Ours(capacity, name, device)


def drawn(batch: int, size: int, draws_a_new_id: int, device: str) -> "Tensor":
    """The ids of a batch: ranks by Zipf's law of exponent 1, from the newest backwards."""
    import torch

    from kernels.hashing import uniform

    number_N = torch.arange(batch * size, (batch + 1) * size, device=device)
    rank_N = torch.exp(uniform(1, number_N).double() * math.log(SPAN)).long()
    return SPAN + number_N // draws_a_new_id - rank_N + 1


def course(given: argparse.Namespace) -> dict[str, Any]:
    """Takes all batches; ids/s, rows at the end, bytes at the most, ids evicted."""
    import torch

    torch.set_num_threads(1)
    one, seconds, most = contender(given.only, given.capacity, given.device), 0.0, 0
    for batch in range(given.ids // given.batch):
        id_N = drawn(batch, given.batch, given.draws_a_new_id, given.device)
        _await(given.device)
        begun = time.perf_counter()
        one.step(id_N, batch * BATCH_MS)
        _await(given.device)
        seconds += time.perf_counter() - begun
        most = max(most, one.held()[1]) if batch % 50 == 0 else most
    rows, held = one.held()
    return {
        "rate": given.ids / seconds,
        "rows": rows,
        "most": max(most, held),
        "evicted": one.evicted,
    }


def _await(device: str) -> None:
    import torch

    if device != "cpu":
        torch.cuda.synchronize()


def main() -> int:
    """Measures each contender and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=20_000_000, help="ids drawn, in batches")
    parser.add_argument("--capacity", type=int, default=1_000_000, help="rows, at most")
    parser.add_argument("--only", choices=CONTENDERS, help="this one alone; prints JSON")
    parser.add_argument("--batch", type=int, default=BATCH, help="ids at a time")
    parser.add_argument(
        "--draws-a-new-id", type=int, default=4, help="how slowly the popular moves"
    )
    parser.add_argument("--device", default="cpu", help="with --only, for tables of this project")
    given = parser.parse_args()
    if given.only:
        print(json.dumps(course(given)))
        return 0
    newest = given.ids // given.draws_a_new_id
    print(machine(), f"\n{given.ids:,} ids drawn of {SPAN + newest:,}; width {WIDTH}\n", flush=True)
    rows, base = [], 0.0
    with tempfile.TemporaryDirectory() as scratch:
        for name in CONTENDERS:
            own = ("--only", name, "--ids", given.ids, "--capacity", given.capacity)
            run = measured(module("benchmarks.vocabulary", *own), Path(scratch), limit=7 * 86_400)
            found = json.loads(run.printed)
            base = base or found["rate"]
            rows.append(_row(NAMES[name], run.peak_mb, found, base))
    heads = ["", "ids/s", "rows", "evicted", "MB held", "MB peak", "ids/s to the first"]
    print(table(heads, rows))
    return 0


def _row(name: str, peak_mb: float, found: dict[str, Any], base: float) -> list[str]:
    numbers = [f"{found[key]:,.0f}" for key in ("rate", "rows", "evicted")]
    ratio = f"**{found['rate'] / base:.2f}**"
    return [name, *numbers, f"{found['most'] / 2**20:,.0f}", f"{peak_mb:,.0f}", ratio]


if __name__ == "__main__":
    sys.exit(main())

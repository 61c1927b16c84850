"""Tables of vectors on a GPU: lookup of ids, pooled gather and its gradient, rowwise AdamW.

    python -m benchmarks.table_speed [--rows 10000000] [--ids 1000000] [--width 128]

Bytes that have to be moved, over the time, beside what a copy in memory reaches: the share of the
card's limit. Counted is what an operation cannot do without: of a lookup the id, a bucket's eight
ids and the answer; of a gather the rows read and what is written; of its gradient what comes in and
the rows written; of a step the gradient, and the table, m and v read and written. Ids are drawn by
Zipf's law or evenly. Times are medians of calls, all that belongs to an operation counted, sorting
for a gradient too; beside it the same by PyTorch's operators.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial

import torch
import triton
from torch import Tensor

from benchmarks.attention_speed import called_ms
from benchmarks.measure import table
from kernels.pooled_rows import pooled_rows
from kernels.rowwise_adamw import rowwise_adamw_
from model.vocabulary.id_table import SLOTS, IdTable

POOLED = 4  # rows of a bag
FLOAT = 4  # bytes
INT = 8

Run = Callable[[str], object]


def drawn(kind: str, rows: int, number: int) -> Tensor:
    """Rows asked for: all alike, or the n-th with a chance of 1 / n."""
    chance = torch.rand(number, device="cuda", dtype=torch.float64)
    if kind == "zipf":
        chance = (rows**chance - 1) / rows
    return (chance * rows).long().clamp(max=rows - 1)


def lookup(rows: int, row_N: Tensor) -> tuple[Run, int]:
    """A search for the ids of rows in a table that holds so many."""
    found = IdTable("cuda")
    id_R = torch.arange(rows, device="cuda") * 7919 + 1
    for part in id_R.split(1_000_000):
        found.insert(part)
    id_N = id_R[row_N]

    def run(implementation: str) -> object:
        return found.slots(id_N, implementation)

    return run, len(row_N) * (INT + SLOTS * INT + INT)


def gather(table_RM: Tensor, row_N: Tensor, *, backward: bool) -> tuple[Run, int]:
    """The mean of every few rows, or its gradient."""
    rows, width = table_RM.shape
    offsets_E1 = torch.arange(0, len(row_N) + 1, POOLED, device="cuda")
    leaf = table_RM.detach().requires_grad_(backward)
    bags = len(offsets_E1) - 1
    dpooled_EM = torch.randn(bags, width, device="cuda")
    kept: dict[str, Tensor] = {}

    def run(implementation: str) -> object:
        if not backward:
            return pooled_rows(leaf, row_N, offsets_E1, implementation)
        if implementation not in kept:
            kept[implementation] = pooled_rows(leaf, row_N, offsets_E1, implementation)
        return torch.autograd.grad(kept[implementation], leaf, dpooled_EM, retain_graph=True)

    read = rows if backward else len(row_N)
    return run, (read + bags) * width * FLOAT + len(row_N) * INT


def step(table_RM: Tensor, row_U: Tensor) -> tuple[Run, int]:
    """A step of these rows, none twice."""
    state = torch.zeros_like(table_RM), torch.zeros(len(table_RM), device="cuda")
    steps = torch.zeros(len(table_RM), dtype=torch.int64, device="cuda")
    grad_UM = torch.randn(len(row_U), table_RM.shape[1], device="cuda")

    def run(implementation: str) -> object:
        rowwise_adamw_(
            *(table_RM, *state, steps, row_U, grad_UM),
            lr=1e-3,
            betas=(0.9, 0.98),
            eps=1e-8,
            implementation=implementation,
        )
        return None

    of_row = 5 * table_RM.shape[1] * FLOAT + 2 * FLOAT + 3 * INT
    return run, len(row_U) * of_row


def row(name: str, run: Run, moved: int, limit: float) -> list[str]:
    """Milliseconds, terabytes a second, the share of a copy's; PyTorch's time, and the ratio."""
    ours, plain = (called_ms(partial(run, kind)) for kind in ("triton", "reference"))
    rate = moved / ours / 1e9
    shown = [f"{ours:.3f}", f"{rate:.2f}", f"{100 * rate / limit:.0f} %", f"{plain:.3f}"]
    return [name, *shown, f"**{plain / ours:.2f}×**"]


def copied() -> float:
    """Terabytes a second of a copy in memory, read and written."""
    source = torch.randn(2**28, device="cuda")
    target = torch.empty_like(source)
    return 2 * source.nbytes / called_ms(lambda: target.copy_(source)) / 1e9


def rows_of(given: argparse.Namespace, limit: float) -> list[list[str]]:
    """A row for each operation and way to draw."""
    found = []
    table_RM = torch.randn(given.rows, given.width, device="cuda")
    for kind in ("evenly", "zipf"):
        row_N = drawn(kind, given.rows, given.ids // POOLED * POOLED)
        found.append(row(f"lookup, {kind}", *lookup(given.rows, row_N), limit))
        found.append(row(f"pooled gather, {kind}", *gather(table_RM, row_N, backward=False), limit))
        row_U, inverse_N = row_N.unique(return_inverse=True)
        fetched = gather(table_RM[row_U], inverse_N, backward=True)
        found.append(row(f"its gradient, {kind}", *fetched, limit))
        name = f"rowwise AdamW, {len(row_U):,} rows, {kind}"
        found.append(row(name, *step(table_RM, row_U), limit))
    return found


def main() -> int:
    """Measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name, default in (("rows", 10_000_000), ("ids", 1_000_000), ("width", 128)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("no GPU: this measures CUDA kernels")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "triton", triton.__version__)
    limit = copied()
    print(f"{given.rows:,} rows of {given.width}, {given.ids:,} ids; a copy: {limit:.2f} TB/s\n")
    heads = ["", "ms", "TB/s", "of a copy's", "PyTorch, ms", "faster"]
    print(table(heads, rows_of(given, limit)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

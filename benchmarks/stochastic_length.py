"""Stochastic Length: sparsity over α and N beside the paper's table 3, and what it costs to cut.

    python -m benchmarks.stochastic_length [--scale 1] [--folder SEQUENCES --spec SPEC]

Sparsity is the paper's, 1 − Σ n' / (R N) over R sequences of n' tokens each (in model/sampling).
Its lengths are not published, but the row α = 2.0, where nothing is shortened, tells the mean of
min(n, N) for each N. The lengths here are a mixture that has these means: 12 % evenly up to 2,000,
the others normal around 3,200 ± 700. So that row is fitted, and the other rows are not: that they
come near the paper's says that both mean the same by sparsity. With a folder, the same table of its
sequences, shortened indeed; s2 and the shares that are left, for each choice; tokens a second.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import machine, table
from model.sampling.sparsity import Sparsity
from model.sampling.stochastic_length import StochasticLength
from model.sampling.subsequence import Choice
from model.sampling.token_rows import Ints, tokens_of
from schemas.load import load_spec
from schemas.sequences import sequence_schema
from schemas.spec import Spec

SEQUENCES = 100_000
ALPHAS = (1.6, 1.7, 1.8, 1.9, 2.0)
LONGEST = (1024, 2048, 4096, 8192)
PAPER = {
    1.6: (71.5, 76.1, 80.5, 84.4),
    1.7: (56.1, 63.6, 69.8, 75.6),
    1.8: (40.2, 45.3, 54.1, 66.4),
    1.9: (17.2, 21.0, 36.3, 64.1),
    2.0: (3.1, 6.6, 29.1, 64.1),
}
"""Zhai et al., 2024, table 3, in percent; histories of 30 days."""

Shorten = Callable[[int, float], Sparsity]
"""N, α → what is spared."""

_ROWS = 256


def main() -> int:
    """Prints the table of the made lengths, and with --folder those of its sequences."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0, help="times 100,000 sequences")
    parser.add_argument("--folder", type=Path, help="a folder of sequences, as phia run writes it")
    parser.add_argument("--spec", type=Path, help="their spec")
    given = parser.parse_args()
    print(machine())
    lengths = made_lengths(round(SEQUENCES * given.scale))
    print(f"\n{len(lengths):,} made lengths; sparsity in percent, in brackets the paper's\n")
    of_lengths = partial(_of_lengths, lengths)
    print(sparsities(of_lengths, beside=True))
    if given.folder and given.spec:
        spec = load_spec(given.spec)
        _print_folder(spec, list(_batches(given.folder, spec)))
    return 0


def made_lengths(sequences: int) -> Ints:
    """Lengths whose mean, cut to N, is about the paper's for each N."""
    draw = np.random.default_rng(0)
    light = draw.uniform(1, 2_000, sequences)
    heavy = draw.normal(3_200, 700, sequences)
    mixed = np.where(draw.random(sequences) < 0.12, light, heavy)
    return np.clip(mixed, 1, max(LONGEST)).astype(np.int64)


def sparsities(shorten: Shorten, beside: bool = False) -> str:
    """The table over α and N, where asked with the paper's figures beside."""
    rows = []
    for alpha in ALPHAS:
        row = [f"{alpha}"]
        for longest, paper in zip(LONGEST, PAPER[alpha], strict=True):
            found = shorten(longest, alpha).sparsity
            row.append(f"{100 * found:.1f}" + (f" ({paper})" if beside else ""))
        rows.append(row)
    return table(["α", *(f"N = {longest:,}" for longest in LONGEST)], rows)


def _of_lengths(tokens_R: Ints, longest: int, alpha: float) -> Sparsity:
    """Of lengths alone: each replaced sequence is as long as the limit."""
    length = StochasticLength(longest, alpha)
    before_R = np.minimum(tokens_R, length.longest)
    replaced_R = length.replaced([f"{row:032x}" for row in range(len(tokens_R))], before_R)
    after_R = np.where(replaced_R, length.limit, before_R)
    return Sparsity.of(length.longest, replaced_R, before_R, after_R)


def _batches(folder: Path, spec: Spec) -> Iterator[pa.RecordBatch]:
    columns = sequence_schema(spec).names
    for file in sorted(folder.glob("*.parquet")):
        yield from pq.ParquetFile(file).iter_batches(_ROWS, columns=columns)


def _print_folder(spec: Spec, batches: list[pa.RecordBatch]) -> None:
    tokens_R = np.concatenate([tokens_of(batch) for batch in batches])
    longest = int(tokens_R.max())
    print(
        f"\n{len(tokens_R):,} sequences, mean {tokens_R.mean():,.0f}, longest {longest:,} tokens\n"
    )

    def shorten(longest: int, alpha: float) -> Sparsity:
        return _shortened(batches, StochasticLength.of(spec, longest, alpha, "recency", 0))[0]

    print(sparsities(shorten))
    print(f"\nN = {longest:,}, the longest; tokens read a second, on one core\n")
    rows = []
    for alpha in ALPHAS[:-1]:
        for choice in get_args(Choice):
            length = StochasticLength.of(spec, longest, alpha, choice, 0)
            sums, seconds = _shortened(batches, length)
            shares = (sums.sparsity, sums.s2, sums.tokens_share, sums.pairs_share)
            percents = [f"{100 * share:.1f}" for share in shares]
            rate = f"{tokens_R.sum() / seconds / 1e6:.1f} M"
            rows.append([f"{alpha}", choice, f"{length.limit}", *percents, rate])
    heads = ["α", "choice", "limit", "sparsity %", "s2 %", "tokens left %", "pairs left %"]
    print(table([*heads, "tokens / s"], rows))


def _shortened(batches: list[pa.RecordBatch], length: StochasticLength) -> tuple[Sparsity, float]:
    """What is spared of real sequences, and the seconds that it took."""
    begun = time.perf_counter()
    total = Sparsity(length.longest)
    for batch in batches:
        short = length.shortened(batch)
        total += short.sparsity(np.ones(batch.num_rows, bool))
    return total, time.perf_counter() - begun


if __name__ == "__main__":
    sys.exit(main())

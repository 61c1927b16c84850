"""HSTU attention with its biases, forward and backward, on a GPU, beside softmax attention.

    python -m benchmarks.attention_speed [--times sessions|uniform] [--positions 256] [--buckets 96]

TFLOP/s of five shapes, bfloat16, causal: ours with both biases (gradients of their tables too) and
without, and FlashAttention-2 and cuDNN's attention through PyTorch, which have none. Counted are
for all 2 D H N² operations a sequence of N tokens forward, half of a square of two products, and
2.5 times that backward, whatever a kernel does in truth. Each number is the median of replays of a
CUDA graph after warm-up, so that Python's share is left out; the last column is a call from Python.

A second table has a local window and a contextual prefix, with both biases, beside all of what is
before: milliseconds, and TFLOP/s of what is seen alone.

Before that, all is checked against float64: the relative error must be at most twice that of plain
PyTorch in bfloat16, or nothing is measured.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
import triton
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from benchmarks.measure import table
from kernels.attention_mask import ALL_BEFORE, Mask
from kernels.hstu_attention import RelativeBias, hstu_attention

Run = Callable[[], object]

JAGGED = 140_818  # tokens of 64 sequences
LONGEST = 8192
SHAPES = {
    "8 × 8192, 8 heads of 64": ([8192] * 8, 8, 64),
    "8 × 8192, 4 heads of 128": ([8192] * 8, 4, 128),
    "32 × 2048, 8 heads of 64": ([2048] * 32, 8, 64),
    "32 × 2048, 4 heads of 128": ([2048] * 32, 4, 128),
}
MASKS = {
    "all before": ALL_BEFORE,
    "window 4,096": Mask(window=4096),
    "window 1,024": Mask(window=1024),
    "window 256": Mask(window=256),
    "prefix 256": Mask(prefix=256),
    "window 1,024, prefix 256": Mask(window=1024, prefix=256),
}
MASKED = ("8 × 8192, 8 heads of 64", "32 × 2048, 8 heads of 64")
RIVALS = {
    "FlashAttention-2": SDPBackend.FLASH_ATTENTION,
    "cuDNN": SDPBackend.CUDNN_ATTENTION,
}
HEADS = ["shape", "ours, biases", "ours, no bias", *RIVALS, "ours, biases, from Python"]


@dataclass(frozen=True)
class Inputs:
    """What attention is given; `leaves` are what it has gradients of."""

    leaves: list[Tensor]
    dout_THD: Tensor
    offsets_B1: Tensor
    times: tuple[Tensor, Tensor]
    lengths: list[int]
    mask: Mask = ALL_BEFORE

    def attend(self, *, biased: bool = True, implementation: str | None = None) -> Tensor:
        """The output of attention."""
        q, k, v, *tables = self.leaves
        bias = RelativeBias(tables[0], tables[1], *self.times) if biased else None
        return hstu_attention(
            *(q, k, v, self.offsets_B1),
            longest=max(self.lengths),
            bias=bias,
            window=self.mask.window,
            prefix=self.mask.prefix,
            alpha=q.shape[2] ** -0.5,
            implementation=implementation,
        )

    def to(self, kind: torch.dtype) -> "Inputs":
        """The same numbers in another type."""
        leaves = [leaf.detach().to(kind).requires_grad_() for leaf in self.leaves]
        return replace(self, leaves=leaves, dout_THD=self.dout_THD.to(kind))

    def pairs(self) -> int:
        """How many queries and keys see each other; half a square of a sequence where all is seen
        that is before."""
        window, prefix = self.mask.window, self.mask.prefix
        if window is None and not prefix:
            return sum(length**2 for length in self.lengths) // 2
        return sum(_seen(length, window or length, prefix) for length in self.lengths)


def _seen(length: int, window: int, prefix: int) -> int:
    at_N = torch.arange(length)
    beyond_N = (at_N - window + 1).clamp(min=0)  # keys before the window, of which some are context
    after_N = (min(prefix, length) - 1 - at_N).clamp(min=0)
    return int((at_N + 1 - beyond_N + beyond_N.clamp(max=prefix) + after_N).sum())


def skewed_lengths() -> list[int]:
    """64 lengths, lognormal, of JAGGED tokens together and LONGEST at most."""
    size_B = torch.randn(64, generator=torch.Generator().manual_seed(1)).mul(1.1).exp()
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        too_many = (size_B * middle).clamp(1, LONGEST).round().sum() > JAGGED
        low, high = (low, middle) if too_many else (middle, high)
    lengths: list[int] = (size_B * low).clamp(1, LONGEST).round().long().tolist()
    lengths[lengths.index(min(lengths))] += JAGGED - sum(lengths)
    return lengths


def times_of(length: int, kind: str, chance: torch.Generator) -> Tensor:
    """The times of a sequence, ms: an hour apart on average, uniform; or in sessions of ten, half a
    minute apart, with a day between them.
    """
    if kind == "uniform":
        return (torch.rand(length, generator=chance) * length * 3_600_000).long().sort().values
    is_new = torch.rand(length, generator=chance) < 0.1
    spread = torch.randn(length, generator=chance)
    gap = torch.where(is_new, spread + 18.0, spread + 10.3).exp()
    return gap.long().cumsum(0) + 1_700_000_000_000


def inputs(lengths: Sequence[int], heads: int, width: int, options: argparse.Namespace) -> Inputs:
    """Standard normal rows, and tables half as large."""
    chance = torch.Generator().manual_seed(0)
    time_T = torch.cat([times_of(length, options.times, chance) for length in lengths]).cuda()
    torch.manual_seed(0)
    rows = [torch.randn(sum(lengths), heads, width, device="cuda").bfloat16() for _ in range(4)]
    sizes = (options.positions, options.buckets)
    tables = [torch.randn(heads, size, device="cuda") / 2 for size in sizes]
    offsets_B1 = torch.tensor([0, *lengths]).cumsum(0).cuda()
    leaves = [leaf.requires_grad_() for leaf in (*rows[:3], *tables)]
    return Inputs(leaves, rows[3], offsets_B1, (time_T, time_T - 1000), list(lengths))


def check(width: int, mask: Mask, options: argparse.Namespace) -> bool:
    """Whether the output and all gradients are as exact as they have to be; prints the errors."""
    each = replace(inputs([1500, 1, 0, 777, 64], 3, width, options), mask=mask)
    wide, plain = each.to(torch.float64), each.to(torch.bfloat16)
    exact = _results(wide, wide.attend())
    right = True
    for tables in ("bfloat16", "float32"):
        given = plain if tables == "bfloat16" else each
        found = _results(given, given.attend(implementation="triton"))
        usual = _results(plain, plain.attend(implementation="reference"))
        errors = [_error(x, y) for x, y in zip(found, exact, strict=True)]
        allowed = [2 * _error(x, y) + 4e-3 / 2 for x, y in zip(usual, exact, strict=True)]
        right &= all(error <= most for error, most in zip(errors, allowed, strict=True))
        named = ", ".join(f"{error:.1e}" for error in errors)
        seen = f"width {width}, window {mask.window}, prefix {mask.prefix}, tables {tables}"
        print(f"{seen}: errors of out, dq, dk, dv, dposition, dtime: {named}")
    return right


def _results(each: Inputs, out_THD: Tensor) -> list[Tensor]:
    dout_THD = each.dout_THD.to(out_THD.dtype)
    return [out_THD.detach(), *torch.autograd.grad(out_THD, each.leaves, dout_THD)]


def _error(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


def replayed_ms(run: Run) -> float:
    """The median time of a replay of what `run` has the GPU do, ms."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            run()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        run()
    return called_ms(graph.replay)


def called_ms(run: Run, repeats: int = 30) -> float:
    """The median time between the events around a call, ms."""
    for _ in range(5):
        run()
    events = [[torch.cuda.Event(enable_timing=True) for _ in range(2)] for _ in range(repeats)]
    for begin, end in events:
        begin.record()
        run()
        end.record()
    torch.cuda.synchronize()
    times: list[float] = sorted(begin.elapsed_time(end) for begin, end in events)
    return times[repeats // 2]


def ours(each: Inputs, *, biased: bool) -> tuple[Run, Run]:
    """A forward, and a forward with its backward."""
    leaves = each.leaves if biased else each.leaves[:3]

    def forward() -> object:
        with torch.no_grad():
            return each.attend(biased=biased)

    def both() -> object:
        return torch.autograd.grad(each.attend(biased=biased), leaves, each.dout_THD)

    return forward, both


def rival(each: Inputs, backend: SDPBackend) -> tuple[Run, Run] | None:
    """The same of softmax attention, where sequences are of one length."""
    if len(set(each.lengths)) > 1:
        return None
    batch, length = len(each.lengths), each.lengths[0]
    rows = (x.detach().view(batch, length, *x.shape[1:]) for x in (*each.leaves[:3], each.dout_THD))
    q, k, v, dout = (x.transpose(1, 2).contiguous().requires_grad_() for x in rows)

    def attend() -> Tensor:
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(q, k, v, is_causal=True)

    def forward() -> object:
        with torch.no_grad():
            return attend()

    return forward, lambda: torch.autograd.grad(attend(), (q, k, v), dout)


def rates(each: Inputs, runs: tuple[Run, Run] | None, timer: Callable[[Run], float]) -> str:
    """TFLOP/s forward / forward and backward."""
    if runs is None:
        return "–"
    return rate(each, timer(runs[0]), timer(runs[1]))


def rate(each: Inputs, forward_ms: float, both_ms: float) -> str:
    """The same of times."""
    _, heads, width = each.leaves[0].shape
    operations = 4 * width * heads * each.pairs()
    return f"{operations / forward_ms / 1e9:.0f} / {3.5 * operations / both_ms / 1e9:.0f}"


def masked(name: str, options: argparse.Namespace) -> list[list[str]]:
    """Of a shape, a row of each mask: milliseconds, how many times as fast as all, TFLOP/s."""
    rows: list[list[str]] = []
    all_ms = (0.0, 0.0)
    for what, mask in MASKS.items():
        each = replace(inputs(*SHAPES[name], options), mask=mask)
        forward_ms, both_ms = (replayed_ms(run) for run in ours(each, biased=True))
        all_ms = all_ms if rows else (forward_ms, both_ms)
        times = f"{forward_ms:.2f} / {both_ms:.2f}"
        faster = f"**{all_ms[0] / forward_ms:.2f}× / {all_ms[1] / both_ms:.2f}×**"
        rows.append([name, what, times, faster, rate(each, forward_ms, both_ms)])
    return rows


def main() -> int:
    """Checks, measures and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--times", choices=("sessions", "uniform"), default="sessions")
    parser.add_argument("--positions", type=int, default=256)
    parser.add_argument("--buckets", type=int, default=96)
    parser.add_argument("--only-ours", action="store_true")
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("no GPU: this measures CUDA kernels")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "triton", triton.__version__)
    masks = (ALL_BEFORE, MASKS["window 256"], MASKS["window 1,024, prefix 256"])
    checks = [check(width, mask, options) for width in (64, 128) for mask in masks]
    if not all(checks):
        print("the check failed: nothing is measured")
        return 1
    shapes = {**SHAPES, f"64 jagged, {JAGGED} tokens, 8 of 64": (skewed_lengths(), 8, 64)}
    lines = []
    for name, (lengths, heads, width) in shapes.items():
        each = inputs(lengths, heads, width, options)
        row = [rates(each, ours(each, biased=biased), replayed_ms) for biased in (True, False)]
        for backend in RIVALS.values():
            runs = None if options.only_ours else rival(each, backend)
            row.append(rates(each, runs, replayed_ms))
        lines.append([name, *row, rates(each, ours(each, biased=True), called_ms)])
        print(lines[-1], flush=True)
    print(f"\nTFLOP/s, forward / forward and backward, times: {options.times}\n")
    print(table(HEADS, lines))
    rows = [row for name in MASKED for row in masked(name, options)]
    print(f"\n{table(['shape', 'seen', 'ms', 'to all', 'TFLOP/s'], rows)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

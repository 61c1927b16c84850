"""A whole training step: HSTU beside a Transformer on FlashAttention-2, as histories grow.

    python -m benchmarks.training_step [--width 512] [--layers 4] [--tokens 65536] [--longest 8192]

Layers alone, without embeddings and heads: forward, backward and AdamW, in bfloat16 over float32
weights, on sequences of 1,024 to 8,192 tokens, so many that there are --tokens together. Each row
has what the one before has and one thing more: attention with SiLU in our kernel, in a block of
PyTorch's operators; both biases, of 256 positions and 96 buckets; the block as one operator that
computes again instead of keeping; Stochastic Length, which replaces most long sequences by
N^(α/2) of their tokens. Times are of a step, medians, for so many sequences as a Transformer's step
has; with Stochastic Length a step has more of them. No dropout. Memory is the peak of a step.
"""

import argparse
import sys
from collections.abc import Callable
from functools import partial
from itertools import accumulate

import torch
import triton
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.attention_speed import called_ms, times_of
from benchmarks.layers import Layer, Size, hstu, transformer
from benchmarks.measure import table
from kernels.attention_plan import AttentionPlan
from model.sampling.stochastic_length import StochasticLength

WIDTH_OF_A_HEAD = 64
LENGTHS = (1024, 2048, 4096, 8192)
ALPHAS = (1.8, 1.6)
REPEATS = 10

New = Callable[[Size], tuple[Layer, list[Tensor]]]


def on(backend: SDPBackend, size: Size) -> tuple[Layer, list[Tensor]]:
    """A Transformer's layer with PyTorch's attention by this backend."""
    layer, weights = transformer(size)

    def with_backend(x_TM: Tensor, plan: AttentionPlan) -> Tensor:
        with sdpa_kernel(backend):
            return layer(x_TM, plan)

    return with_backend, weights


ROWS: dict[str, New] = {
    "Transformer, FlashAttention-2": partial(on, SDPBackend.FLASH_ATTENTION),
    "Transformer, cuDNN": partial(on, SDPBackend.CUDNN_ATTENTION),
    "HSTU, PyTorch and the attention kernel": partial(hstu, call="plain", biased=False),
    "… with biases": partial(hstu, call="plain"),
    "… as one operator, `hstu_block`": partial(hstu, call="fast"),
}


def shortened(longest: int, alpha: float, tokens: int) -> list[int]:
    """Lengths of sequences of N tokens after Stochastic Length, about so many tokens together."""
    short = StochasticLength(longest, alpha)
    names = [f"{row:032x}" for row in range(tokens)]
    before_R = torch.full((tokens,), longest).numpy()
    lengths = [short.limit if hit else longest for hit in short.replaced(names, before_R)]
    return lengths[: max(sum(total <= tokens for total in accumulate(lengths)), 1)]


def sized(lengths: list[int], width: int) -> Size:
    """Sequences of these lengths, with times as of people."""
    chance = torch.Generator().manual_seed(0)
    times_T = torch.cat([times_of(length, "sessions", chance) for length in lengths]).cuda()
    heads = width // WIDTH_OF_A_HEAD
    return Size(tuple(lengths), times_T, width, heads, 256, 96, 0.0, torch.float32)


def step_of(new: New, size: Size, layers: int) -> Callable[[], None]:
    """A step of so many layers."""
    torch.manual_seed(0)
    stack, weights = zip(*(new(size) for _ in range(layers)), strict=True)
    optimizer = torch.optim.AdamW([x for each in weights for x in each], lr=1e-6, fused=True)
    x_TM, dy_TM = torch.randn(2, size.tokens, size.width, device="cuda").bfloat16()

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        y_TM, plan = x_TM, size.plan()
        for layer in stack:
            y_TM = layer(y_TM, plan)
        y_TM.backward(dy_TM)
        optimizer.step()

    return step


def measured(new: New, lengths: list[int], given: argparse.Namespace) -> tuple[float, float]:
    """Milliseconds of a step for each of its sequences, and its peak memory in GiB."""
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    ms = called_ms(step_of(new, sized(lengths, given.width), given.layers), REPEATS)
    return ms / len(lengths), torch.cuda.max_memory_allocated() / 2**30


def rows_of(longest: int, given: argparse.Namespace) -> list[list[str]]:
    """A length's row of each contestant: milliseconds, ratio to the first, memory."""
    whole = [longest] * max(given.tokens // longest, 1)
    found = {name: measured(new, whole, given) for name, new in ROWS.items()}
    last = list(ROWS)[-1]
    for alpha in ALPHAS:
        lengths = shortened(longest, alpha, given.tokens)
        found[f"… with Stochastic Length, α = {alpha}"] = measured(ROWS[last], lengths, given)
    first = next(iter(found.values()))[0]
    return [
        [
            *(name, f"{longest:,}", f"{ms * len(whole):.1f}"),
            *(f"**{first / ms:.2f}×**", f"{gib:.1f}"),
        ]
        for name, (ms, gib) in found.items()
    ]


def main() -> int:
    """Measures and prints a table for each length."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name, default in (("width", 512), ("layers", 4), ("tokens", 65536), ("longest", 8192)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("no GPU: this measures CUDA kernels")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "triton", triton.__version__)
    print(f"d = {given.width}, {given.layers} layers, {given.tokens:,} tokens a step\n")
    for longest in LENGTHS:
        if longest <= given.longest:
            heads = ["", "tokens of a sequence", "ms", "faster", "peak, GiB"]
            print(table(heads, rows_of(longest, given)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

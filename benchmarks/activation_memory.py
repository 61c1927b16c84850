"""Activations: what a layer keeps of a token for its backward pass, in bytes, bfloat16.

    python -m benchmarks.activation_memory [--width 64] [--length 32] [--sequences 4]

The unit is d, the width of the model, of all value heads and of all query heads together. Counted
is what autograd holds on to (each storage once, weights left out) with three layers less what it
holds with two, so what layers share does not count. That is the same on any device; on a CPU
Triton's kernels are interpreted, so sizes are small. Beside it: the same block in plain PyTorch,
with the attention kernel and without; and a Transformer's, pre-norm, with attention that does not
keep its scores. All with dropout. The paper has 14 d and 33 d (section 3.3).
"""

import argparse
import os
import sys
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.layers import Layer, Size, hstu, transformer
from benchmarks.measure import machine, table

HEADS, DROPOUT = 2, 0.1
LAYERS = 2
BUCKETS = 64
_HEADS = ["layer", "kept of a token, bytes", "in d", "the paper's", "to the first"]


def kept_bytes(run: Callable[[], Tensor], uncounted: set[int]) -> int:
    """Bytes that autograd holds on to after a forward pass, but for storages of these addresses."""
    kept: dict[int, Tensor] = {}  # tensors, so that no address is given away twice meanwhile

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(kept[at].untyped_storage().nbytes() for at in kept.keys() - uncounted)


def a_layer(new_layer: Callable[[], tuple[Layer, list[Tensor]]], size: Size, x_TM: Tensor) -> int:
    """Bytes that one more layer keeps."""

    def of(layers: int) -> int:
        stack, weights = zip(*(new_layer() for _ in range(layers)), strict=True)
        uncounted = {x.untyped_storage().data_ptr() for each in weights for x in each}

        def run() -> Tensor:
            y_TM, plan = x_TM, size.plan()
            for layer in stack:
                y_TM = layer(y_TM, plan)
            return y_TM

        return kept_bytes(run, uncounted)

    return of(LAYERS + 1) - of(LAYERS)


def sized(width: int, length: int, sequences: int, device: torch.device) -> Size:
    """Sequences of one length, a ms between tokens, with a table entry for each distance."""
    return Size(
        lengths=(length,) * sequences,
        times_T=torch.arange(length * sequences, device=device),
        width=width,
        heads=HEADS,
        positions=length,
        buckets=BUCKETS,
        dropout=DROPOUT,
        weights=torch.bfloat16,
    )


def main() -> int:
    """Measures each layer and prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    for name, default in (("width", 64), ("length", 32), ("sequences", 4)):
        parser.add_argument(f"--{name}", type=int, default=default)
    if not torch.cuda.is_available():
        os.environ["TRITON_INTERPRET"] = "1"
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    size = sized(given.width, given.length, given.sequences, device)
    x_TM = torch.randn(size.tokens, size.width, dtype=torch.bfloat16, device=device)
    rows = {
        "hstu_block": (partial(hstu, size, "fast"), "14"),
        "HSTU, plain PyTorch, attention kernel": (partial(hstu, size, "plain"), ""),
        "HSTU, plain PyTorch": (partial(hstu, size, "reference"), ""),
        "Transformer, plain PyTorch": (partial(transformer, size), "33"),
    }
    kept = {name: a_layer(new, size, x_TM.requires_grad_()) for name, (new, _) in rows.items()}
    print(f"{machine()}, torch {torch.__version__}, {device.type}")
    print(
        f"\nd = {size.width}, {HEADS} heads, {given.sequences} sequences of {given.length} tokens\n"
    )
    print(table(_HEADS, [_row(name, kept, rows[name][1], size) for name in rows]))
    return 0


def _row(name: str, kept: dict[str, int], paper: str, size: Size) -> list[str]:
    of_token = kept[name] / size.tokens
    ratio = kept[name] / kept["hstu_block"]
    return [name, f"{of_token:,.0f}", f"{of_token / size.width:.2f}", paper, f"**{ratio:.2f}×**"]


if __name__ == "__main__":
    sys.exit(main())

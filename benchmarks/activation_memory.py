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
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn.functional import gelu, layer_norm, linear, scaled_dot_product_attention, silu

from benchmarks.measure import machine, table
from kernels.hstu_attention import hstu_attention
from kernels.hstu_block import BlockWeights, RelativeBias, hstu_block

HEADS, DROPOUT, EPS = 2, 0.1, 1e-5
LAYERS = 2
BUCKETS = 64

Layer = Callable[[Tensor], Tensor]
_HEADS = ["layer", "kept of a token, bytes", "in d", "the paper's", "to the first"]


@dataclass(frozen=True)
class Size:
    """Sequences of one length, and the width d."""

    width: int
    length: int
    sequences: int
    device: torch.device

    @property
    def tokens(self) -> int:
        """Of all sequences."""
        return self.length * self.sequences

    @cached_property
    def offsets_B1(self) -> Tensor:
        """Where sequences begin; one tensor for all layers, as are the times."""
        return torch.arange(0, self.tokens + 1, self.length, device=self.device)

    @cached_property
    def times_T(self) -> Tensor:
        """The time of each token, ms."""
        return torch.arange(self.tokens, device=self.device)


def kept_bytes(run: Callable[[], Tensor], uncounted: set[int]) -> int:
    """Bytes that autograd holds on to after a forward pass, but for storages of these addresses."""
    kept: dict[int, Tensor] = {}  # tensors, so that no address is given away twice meanwhile

    def keep(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        run()
    return sum(kept[at].untyped_storage().nbytes() for at in kept.keys() - uncounted)


def a_layer(new_layer: Callable[[], tuple[Layer, list[Tensor]]], x_TM: Tensor) -> int:
    """Bytes that one more layer keeps."""

    def of(layers: int) -> int:
        stack, weights = zip(*(new_layer() for _ in range(layers)), strict=True)
        uncounted = {x.untyped_storage().data_ptr() for each in weights for x in each}

        def run() -> Tensor:
            y_TM = x_TM
            for layer in stack:
                y_TM = layer(y_TM)
            return y_TM

        return kept_bytes(run, uncounted)

    return of(LAYERS + 1) - of(LAYERS)


def hstu(size: Size, call: str) -> tuple[Layer, list[Tensor]]:
    """A block of HSTU: `fast`, `plain` with the attention kernel, or `reference` with no kernel."""
    d = size.width
    shapes: list[tuple[int, ...]] = [(d,), (d,), (d, 4 * d), (4 * d,), (d,), (d,), (d, d), (d,)]
    weights = _weights([*shapes, (HEADS, size.length), (HEADS, BUCKETS)], size)
    bias = RelativeBias(weights[8], weights[9], size.times_T, size.times_T)
    if call == "plain":
        return partial(_plain_block, weights, bias, size), weights
    layer = partial(
        hstu_block,
        weights=BlockWeights(*weights[:8]),
        offsets_B1=size.offsets_B1,
        longest=size.length,
        heads=HEADS,
        query_width=d // HEADS,
        value_width=d // HEADS,
        bias=bias,
        divisor=float(size.length),
        eps=EPS,
        dropout=DROPOUT,
        implementation="triton" if call == "fast" else "reference",
    )
    return layer, weights


def _plain_block(weights: list[Tensor], bias: RelativeBias, size: Size, x_TM: Tensor) -> Tensor:
    """The block as one would write it at first: PyTorch's operators, and one for attention."""
    norm_TM = layer_norm(x_TM, x_TM.shape[1:], weights[0], weights[1], EPS)
    parts = silu(linear(norm_TM, weights[2].T, weights[3])).chunk(4, 1)
    u_TM, v_THV, q_THD, k_THD = parts[0], *(part.view(size.tokens, HEADS, -1) for part in parts[1:])
    sums_THV = hstu_attention(
        *(q_THD, k_THD, v_THV, size.offsets_B1),
        longest=size.length,
        bias=bias,
        implementation="triton",
    )
    gated_TM = layer_norm(sums_THV.flatten(1), x_TM.shape[1:], weights[4], weights[5], EPS) * u_TM
    return x_TM + linear(_dropout(gated_TM), weights[6].T, weights[7])


def transformer(size: Size) -> tuple[Layer, list[Tensor]]:
    """A pre-norm Transformer's layer, its feed-forward four times as wide."""
    d = size.width
    norms: list[tuple[int, ...]] = [(d,)] * 4
    weights = _weights([*norms, (3 * d, d), (d, d), (4 * d, d), (d, 4 * d)], size)

    def layer(x_TM: Tensor) -> Tensor:
        norm_TM = layer_norm(x_TM, (d,), weights[0], weights[1])
        heads = linear(norm_TM, weights[4]).view(size.sequences, size.length, 3, HEADS, -1)
        q, k, v = heads.permute(2, 0, 3, 1, 4)
        attended = scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2)
        x_TM = x_TM + _dropout(linear(attended.reshape(size.tokens, d), weights[5]))
        norm_TM = layer_norm(x_TM, (d,), weights[2], weights[3])
        return x_TM + _dropout(linear(gelu(linear(norm_TM, weights[6])), weights[7]))

    return layer, weights


def _dropout(x_TM: Tensor) -> Tensor:
    """With a mask of one byte an element on every device."""
    return torch.native_dropout(x_TM, DROPOUT, True)[0]


def _weights(shapes: list[tuple[int, ...]], size: Size) -> list[Tensor]:
    return [
        torch.randn(shape, dtype=torch.bfloat16, device=size.device, requires_grad=True)
        for shape in shapes
    ]


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
    size = Size(**vars(parser.parse_args()), device=device)
    x_TM = torch.randn(size.tokens, size.width, dtype=torch.bfloat16, device=device)
    rows = {
        "hstu_block": (partial(hstu, size, "fast"), "14"),
        "HSTU, plain PyTorch, attention kernel": (partial(hstu, size, "plain"), ""),
        "HSTU, plain PyTorch": (partial(hstu, size, "reference"), ""),
        "Transformer, plain PyTorch": (partial(transformer, size), "33"),
    }
    kept = {name: a_layer(new, x_TM.requires_grad_()) for name, (new, _) in rows.items()}
    print(f"{machine()}, torch {torch.__version__}, {device.type}")
    print(
        f"\nd = {size.width}, {HEADS} heads, {size.sequences} sequences of {size.length} tokens\n"
    )
    print(table(_HEADS, [_row(name, kept, rows[name][1], size) for name in rows]))
    return 0


def _row(name: str, kept: dict[str, int], paper: str, size: Size) -> list[str]:
    of_token = kept[name] / size.tokens
    ratio = kept[name] / kept["hstu_block"]
    return [name, f"{of_token:,.0f}", f"{of_token / size.width:.2f}", paper, f"**{ratio:.2f}×**"]


if __name__ == "__main__":
    sys.exit(main())

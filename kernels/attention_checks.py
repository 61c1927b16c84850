"""What attention refuses: shapes, types and lengths that do not go together."""

import torch
from torch import Tensor

from kernels.attention_mask import Mask
from kernels.relative_bias import RelativeBias


def check_attention(
    q_THD: Tensor,
    k_THD: Tensor,
    v_THV: Tensor,
    offsets_B1: Tensor,
    longest: int,
    bias: RelativeBias | None,
    mask: Mask,
) -> None:
    """Raise ValueError, in one line, for the first thing that is wrong.

    Offsets are only looked into on a CPU, as a GPU would have to be waited for.
    """
    tokens, heads, _ = q_THD.shape
    _same("k", k_THD.shape, "q", q_THD.shape)
    _same("v's tokens and heads", v_THV.shape[:2], "q's", (tokens, heads))
    _same("k's and v's types", (k_THD.dtype, v_THV.dtype), "q's, twice", (q_THD.dtype,) * 2)
    _same("offsets' type", offsets_B1.dtype, "the one for offsets", torch.int64)
    if mask.targets_B is not None:
        _same("targets", mask.targets_B.shape, "one a sequence", (len(offsets_B1) - 1,))
    if bias is not None:
        _check_bias(bias, tokens, heads)
    if offsets_B1.device.type == "cpu":
        _check_offsets(offsets_B1, tokens, longest)


def _check_bias(bias: RelativeBias, tokens: int, heads: int) -> None:
    tables = (bias.position_HP, bias.time_HC)
    times = (bias.query_time_T, bias.key_time_T)
    _same("the bias's heads", tuple(map(len, tables)), "q's, twice", (heads,) * 2)
    _same("times", tuple(x.shape for x in times), "one a token, twice", ((tokens,),) * 2)
    _same("times' types", tuple(x.dtype for x in times), "those for ms", (torch.int64,) * 2)


def _check_offsets(offsets_B1: Tensor, tokens: int, longest: int) -> None:
    length_B = offsets_B1.diff()
    inside = int(offsets_B1[0]) >= 0 and int(offsets_B1[-1]) <= tokens
    if not inside or bool((length_B < 0).any()):
        raise ValueError(f"offsets do not ascend from 0 to {tokens} tokens: {offsets_B1.tolist()}")
    if len(length_B) and int(length_B.max()) > longest:
        raise ValueError(f"longest is {longest}, but a sequence has {int(length_B.max())} tokens")


def _same(what: str, found: object, like: str, right: object) -> None:
    if found != right:
        raise ValueError(f"{what}: {found}, but {like}: {right}")

"""Mixture of experts: a feed-forward of which each token uses only a few parts.

A gate gives each token a probability for each expert; the few most probable work on it, and their
answers are added up, each times its probability (Shazeer et al., 2017). The probabilities are not
scaled up to a sum of one, so that the gate learns from the loss even where one expert is active.
No token is dropped, however many choose the same expert.

Legend: T tokens, M width, F hidden width, X experts, K active ones of a token, N = T · K.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as fn
from torch import Tensor, nn

Summed = Callable[[Tensor], Tensor]
"""The sum of a tensor over all processes, which each of them calls at the same place."""

EPS = 1e-5


class Experts(nn.Module):
    """LayerNorm, then of `experts` two-layer networks the `active` best for each token.

    The caller adds what comes out to what went in. Raises ValueError where more experts are to be
    active than there are.
    """

    def __init__(self, width: int, hidden: int, experts: int, active: int) -> None:
        super().__init__()
        if not 1 <= active <= experts:
            raise ValueError(f"{active} active of {experts} experts; must be 1 to {experts}")
        self.active = active
        self.norm = nn.LayerNorm(width, eps=EPS)
        self.gate_MX = _drawn(width, experts)
        self.up_XMF, self.up_bias_XF = _drawn(experts, width, hidden), _zeros(experts, hidden)
        self.down_XFM, self.down_bias_XM = _drawn(experts, hidden, width), _zeros(experts, width)

    def forward(self, x_TM: Tensor, summed: Summed | None = None) -> tuple[Tensor, Tensor]:
        """What the experts say of each token, [T, M], and this process's part of the balance loss.

        With `summed` the parts of all processes add up to the loss of their tokens taken together.
        """
        kind = x_TM.dtype  # weights may be of a wider type, as in a block
        weight_M, bias_M = self.norm.weight.to(kind), self.norm.bias.to(kind)
        x_TM = fn.layer_norm(x_TM, x_TM.shape[1:], weight_M, bias_M, EPS)
        # In float32 also where the rest is in bfloat16: a tie there would pick by rounding.
        gate_TX = (x_TM.float() @ self.gate_MX.float()).softmax(dim=1)
        weight_TK, expert_TK = gate_TX.topk(self.active, dim=1)
        balance = balance_loss(gate_TX, expert_TK, summed)
        answer_TKM = self._answers(x_TM, expert_TK).view(*expert_TK.shape, x_TM.shape[1])
        y_TM = (weight_TK.to(x_TM.dtype).unsqueeze(2) * answer_TKM).sum(dim=1)
        return y_TM, balance

    def _answers(self, x_TM: Tensor, expert_TK: Tensor) -> Tensor:
        """[N, M]: what each token's chosen experts say, token by token, in the order chosen."""
        expert_N = expert_TK.flatten()
        order_N = expert_N.argsort(stable=True)
        sizes = torch.bincount(expert_N, minlength=len(self.up_XMF)).tolist()
        inputs = torch.split(x_TM[order_N // self.active], sizes)
        answer_NM = torch.cat([self._expert(place, part) for place, part in enumerate(inputs)])
        return answer_NM[order_N.argsort()]

    def _expert(self, place: int, x_NM: Tensor) -> Tensor:
        names = (self.up_bias_XF, self.up_XMF, self.down_bias_XM, self.down_XFM)
        up_bias_F, up_MF, down_bias_M, down_FM = (w[place].to(x_NM.dtype) for w in names)
        hidden_NF = fn.silu(torch.addmm(up_bias_F, x_NM, up_MF))
        return torch.addmm(down_bias_M, hidden_NF, down_FM)


def balance_loss(gate_TX: Tensor, expert_TK: Tensor, summed: Summed | None = None) -> Tensor:
    """X · Σ over experts of (share of the choices) · (mean probability): 1 where all are used alike
    and X where one gets everything (Fedus et al., Switch Transformers, 2021, equation 4).

    The shares are those of all processes and have no gradient, so the loss is linear in what each
    process adds, and does not depend on how tokens are spread over them. 0 where there are none.
    """
    experts = gate_TX.shape[1]
    chosen_X = torch.bincount(expert_TK.flatten(), minlength=experts).to(gate_TX.dtype)
    if summed is not None:
        chosen_X = summed(chosen_X)
    chosen = chosen_X.sum().clamp(min=1)
    tokens = chosen / expert_TK.shape[1]
    return experts * (chosen_X / chosen * gate_TX.sum(dim=0) / tokens).sum()


def _drawn(*shape: int) -> nn.Parameter:
    """Weights [..., in, out] with the variance of their inputs kept."""
    return nn.Parameter(torch.empty(shape).normal_(0, shape[-2] ** -0.5))


def _zeros(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape))

"""Dropout without a random state: a hash of what is dropped says whether it is.

T tokens of all sequences, end to end · M width of a row.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from kernels.hashing import UNIFORM_BITS
from kernels.uniform_rows import uniform_rows


@dataclass(frozen=True)
class Dropout:
    """Which elements are dropped: a hash of the seed, of the row's key and of the column says so.

    What is kept is divided by 1 - rate. `keys_T` is int64; without it a row's number is its key,
    and so the draw depends on which sequences a batch has.
    """

    rate: float
    seed: int = 0
    keys_T: Tensor | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.rate < 1:
            raise ValueError(f"dropout is {self.rate}, not at least 0 and less than 1")

    @property
    def threshold(self) -> float:
        """The rate in whole steps of the draw: a float32 has it exactly, so devices agree."""
        return float(round(self.rate * (1 << UNIFORM_BITS)) / (1 << UNIFORM_BITS))

    def keys_of(self, x_TM: Tensor) -> Tensor:
        """The key of each row of a tensor: int64 [T]."""
        return torch.arange(len(x_TM), device=x_TM.device) if self.keys_T is None else self.keys_T

    def factor(self, x_TM: Tensor, implementation: str | None = "reference") -> Tensor:
        """What each element is multiplied by: float32 [T, M]. The implementation is that of
        `uniform_rows`; an oracle has the plain one."""
        columns = x_TM.shape[1]
        draw_TM = uniform_rows(self.seed, self.keys_of(x_TM), columns, implementation)
        return (draw_TM >= self.threshold).float() / (1 - self.threshold)


NO_DROPOUT = Dropout(0.0)

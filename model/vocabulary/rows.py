"""What a row holds: its vector, the optimizer's state, and when its id was seen.

Legend: R rows that there is room for, U unique rows, M width.
"""

import torch
from torch import Tensor

from kernels.rowwise_adamw import rowwise_adamw_
from model.vocabulary.settings import RowwiseAdamW

NEVER = -1
"""The time of what has not happened."""

FEWEST_ROWS = 1024


class Rows:
    """Rows in tensors that grow. A free row is zero and was never seen."""

    def __init__(self, width: int, optimizer: RowwiseAdamW, device: torch.device | str) -> None:
        self._optimizer = optimizer
        self.vector_RM = torch.zeros((FEWEST_ROWS, width), device=device)
        self.m_RM = torch.zeros_like(self.vector_RM)
        self.v_R = torch.zeros(FEWEST_ROWS, device=device)
        self.step_R = torch.zeros(FEWEST_ROWS, dtype=torch.int64, device=device)
        self.first_seen_R = torch.full_like(self.step_R, NEVER)
        self.last_seen_R = torch.full_like(self.step_R, NEVER)

    def _columns(self) -> dict[str, Tensor]:
        """The tensors by the name that they have in a state."""
        return {
            "vectors": self.vector_RM,
            "m": self.m_RM,
            "v": self.v_R,
            "step": self.step_R,
            "first_seen": self.first_seen_R,
            "last_seen": self.last_seen_R,
        }

    @property
    def nbytes(self) -> int:
        """Bytes of the tensors, room to grow included."""
        return sum(column.nbytes for column in self._columns().values())

    def reserve(self, rows: int) -> None:
        """Makes room for so many rows at least; by half again at once, so that it is rare."""
        have = len(self.step_R)
        if rows > have:
            more = max(rows, have + have // 2) - have
            self.vector_RM, self.m_RM = _grown(self.vector_RM, more), _grown(self.m_RM, more)
            self.v_R, self.step_R = _grown(self.v_R, more), _grown(self.step_R, more)
            self.first_seen_R = _grown(self.first_seen_R, more, NEVER)
            self.last_seen_R = _grown(self.last_seen_R, more, NEVER)

    def see(self, row_U: Tensor, now_ms: int) -> None:
        """The ids of these rows are seen now."""
        first_U = self.first_seen_R.index_select(0, row_U)
        self.first_seen_R[row_U] = torch.where(first_U == NEVER, now_ms, first_U)
        last_U = self.last_seen_R.index_select(0, row_U)
        self.last_seen_R[row_U] = last_U.clamp(min=now_ms)

    def vectors(self, row_U: Tensor) -> Tensor:
        """A copy of the vectors of these rows: [U, M]."""
        return self.vector_RM.index_select(0, row_U)

    def train(self, row_U: Tensor, grad_UM: Tensor, lr: float) -> None:
        """One step of these rows, none twice."""
        rowwise_adamw_(
            self.vector_RM,
            self.m_RM,
            self.v_R,
            self.step_R,
            row_U,
            grad_UM,
            lr=lr,
            betas=self._optimizer.betas,
            eps=self._optimizer.eps,
            weight_decay=self._optimizer.weight_decay,
        )

    def clear(self, row_U: Tensor) -> None:
        """Leaves nothing in these rows of what was in them."""
        for name, column in self._columns().items():
            column[row_U] = NEVER if name.endswith("_seen") else 0

    def state(self, row_U: Tensor) -> dict[str, Tensor]:
        """A copy of these rows."""
        return {name: column.index_select(0, row_U) for name, column in self._columns().items()}

    def load(self, row_U: Tensor, state: dict[str, Tensor], of_state_U: Tensor) -> None:
        """Fills these rows from the rows `of_state_U` of a state."""
        for name, column in self._columns().items():
            column[row_U] = state[name].to(column.device)[of_state_U]


def _grown(column: Tensor, more: int, filling: int = 0) -> Tensor:
    return torch.cat([column, column.new_full((more, *column.shape[1:]), filling)])

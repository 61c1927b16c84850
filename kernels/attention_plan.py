"""What of HSTU attention depends on a batch alone: worked out once for all that attend in it.

Which tiles there are, and the times as kernels read them, are the same for every block of a model
whose tables of biases have the same sizes, forward and backward.

B sequences of a batch · T tokens of all sequences, end to end · B1 = B + 1.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from torch import Tensor

from kernels.attention_mask import Mask
from kernels.relative_bias import RelativeBias

X = TypeVar("X")


@dataclass(frozen=True)
class AttentionPlan:
    """Sequences, what is seen in them, and the times of a bias, None without one: as attention is
    given them. Kernels add what they work out of these; the tensors must not change after.
    """

    offsets_B1: Tensor
    longest: int
    mask: Mask
    query_time_T: Tensor | None = None
    key_time_T: Tensor | None = None
    _made: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @classmethod
    def of(
        cls, offsets_B1: Tensor, longest: int, mask: Mask, bias: RelativeBias | None
    ) -> "AttentionPlan":
        """From what one call of attention is given."""
        times = () if bias is None else (bias.query_time_T, bias.key_time_T)
        return cls(offsets_B1, longest, mask, *times)

    def once(self, key: Hashable, make: Callable[[], X]) -> X:
        """What `make` gives, made the first time that it is asked for by this key."""
        if key not in self._made:
            self._made[key] = make()
        made: X = self._made[key]
        return made

    def check(
        self, offsets_B1: Tensor, longest: int, mask: Mask, bias: RelativeBias | None
    ) -> None:
        """Raise ValueError if this is the plan of another batch, or another mask."""
        tensors = {
            "offsets": (self.offsets_B1, offsets_B1),
            "targets": (self.mask.targets_B, mask.targets_B),
        }
        if bias is not None:
            tensors["query times"] = (self.query_time_T, bias.query_time_T)
            tensors["key times"] = (self.key_time_T, bias.key_time_T)
        wrong = [name for name, (own, given) in tensors.items() if not _is_same(own, given)]
        if (self.longest, self.mask.window, self.mask.prefix) != (
            longest,
            mask.window,
            mask.prefix,
        ):
            wrong.append("longest, window or prefix")
        if wrong:
            raise ValueError(f"the plan was made for other {', '.join(wrong)}")


def _is_same(own: Tensor | None, given: Tensor | None) -> bool:
    """Whether both are one tensor; a GPU is not waited for to compare what is in them."""
    if own is None or given is None:
        return own is given
    return own.data_ptr() == given.data_ptr() and own.shape == given.shape

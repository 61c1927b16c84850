"""Which keys a query of HSTU attention sees."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Mask:
    """A query sees what is not after it, and of that the last `window` positions, itself included.

    The last `targets_B[b]` (int64) positions of sequence b are targets: a target sees the history
    before them and itself, but no other target. All targets stand at the same position, the next
    after the history, so that none is scored by where it was put in line.

    The first `prefix` positions of the history are context: all see all of them, however far away,
    and they see each other. They see nothing after them, so that no position learns from what
    comes later by way of them.
    """

    targets_B: Tensor | None = None
    window: int | None = None
    prefix: int = 0

    def __post_init__(self) -> None:
        if self.window is not None and self.window < 1:
            raise ValueError(f"window is {self.window}, not at least 1")
        if self.prefix < 0:
            raise ValueError(f"prefix is {self.prefix}, not at least 0")


ALL_BEFORE = Mask()

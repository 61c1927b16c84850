"""What the processes of a run tell each other: one small class before torch.distributed.

All of a run's processes call the same methods in the same order; each call waits for the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Exchange:
    """This process among `world` processes; `rank` counts from 0. Alone, nothing is sent."""

    rank: int
    world: int

    @classmethod
    def alone(cls) -> Self:
        """The only process of a run."""
        return cls(0, 1)

    @classmethod
    def of_group(cls) -> Self:
        """One of the default process group, which must have been set up."""
        return cls(dist.get_rank(), dist.get_world_size())

    def sum_(self, tensor: Tensor) -> Tensor:
        """The sum of every process's tensor, written into `tensor`, which is also returned."""
        if self.world > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, tensor_N: Tensor) -> list[Tensor]:
        """The tensors of all processes in the order of rank; their first dimensions may differ."""
        if self.world == 1:
            return [tensor_N]
        lengths = self._all_lengths(tensor_N)
        longest = max(lengths)
        padded_L = tensor_N.new_zeros((longest, *tensor_N.shape[1:]))
        padded_L[: len(tensor_N)] = tensor_N
        found = [torch.empty_like(padded_L) for _ in lengths]
        dist.all_gather(found, padded_L)
        return [one_L[:length] for one_L, length in zip(found, lengths, strict=True)]

    def to_owners(
        self, parts: Sequence[Tensor], lengths: Sequence[int] | None = None
    ) -> list[Tensor]:
        """Sends part r to rank r. Returns what each rank has sent to this one, in order of rank.

        Parts differ in their first dimension at most. Who knows the `lengths` of what will come, as
        with the reply to a request, spares one round.
        """
        if self.world == 1:
            return list(parts)
        sent = [len(part) for part in parts]
        outgoing = torch.cat(list(parts))
        received = self._to_come(sent, outgoing.device) if lengths is None else list(lengths)
        incoming = outgoing.new_empty((sum(received), *outgoing.shape[1:]))
        dist.all_to_all_single(incoming, outgoing, received, sent)
        return list(incoming.split_with_sizes(received))

    def barrier(self) -> None:
        """Waits until all processes are here."""
        if self.world > 1:
            dist.barrier()

    def _all_lengths(self, tensor_N: Tensor) -> list[int]:
        """The length of every process's tensor."""
        own = torch.tensor([len(tensor_N)], device=tensor_N.device)
        found = [torch.empty_like(own) for _ in range(self.world)]
        dist.all_gather(found, own)
        return [int(one) for one in found]

    def _to_come(self, sent: list[int], device: torch.device) -> list[int]:
        """How much each process is about to send to this one."""
        outgoing = torch.tensor(sent, device=device)
        incoming = torch.empty_like(outgoing)
        dist.all_to_all_single(incoming, outgoing)
        lengths: list[int] = incoming.tolist()
        return lengths

"""Sequences that are learned again beside those that come, in one pass over the stream.

A stream gives each sequence once, and one gradient step makes little of it. So the newest sequence
of each of the last users is kept, and after each batch some are drawn and learned from: rehearsal,
or experience replay (Robins, "Catastrophic Forgetting, Rehearsal and Pseudorehearsal", Connection
Science 7, 1995). What is kept is bounded, and nothing is read twice.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import torch

from kernels.hashing import hashed, key_of
from model.batch import Category, SequenceBatch
from model.checkpoint import Part
from model.config import TrainConfig
from model.reader.progress import Erasure
from model.reader.seen import user_of

_TENSORS = ("offsets_B1", "type_T", "id_T", "time_T", "new_contents_B", "session_end_B")


class Memory:
    """The newest sequence of each of so many users of a lane; who brought none for longest goes
    first."""

    def __init__(self, users: int) -> None:
        self._users, self._tokens = users, 0
        self._newest: dict[int, SequenceBatch] = {}  # by the hash of the user

    def __len__(self) -> int:
        return len(self._newest)

    def add(self, batch: SequenceBatch) -> None:
        """Lets go of what a batch's erasures make void, and keeps its sequences, in their order."""
        self.erase(batch.progress.erasures if batch.progress else ())
        for sequence in batch.apart():
            user = user_of(sequence.users[0])
            self._forget(user)
            self._newest[user] = sequence
            self._tokens += sequence.tokens
        for user in list(islice(self._newest, max(len(self) - self._users, 0))):
            self._forget(user)

    def erase(self, erasures: Iterable[Erasure]) -> None:
        """Lets go of what erasures make void (S13)."""
        for user, until, _ in erasures:
            sequence = self._newest.get(user)
            if sequence is not None and int(sequence.session_end_B) <= until:
                self._forget(user)

    def drawn(self, tokens: int, key: int) -> list[SequenceBatch]:
        """Sequences of different users, drawn evenly by a key: as many as have so many tokens in
        the mean, one at least."""
        count = round(tokens * len(self) / max(self._tokens, 1))
        users = list(self._newest)
        order = hashed(key, torch.tensor(users, dtype=torch.int64))
        picked = order.topk(min(max(count, 1), len(users))).indices
        return [self._newest[users[place]] for place in picked.tolist()]

    def part(self, categories: Iterable[str]) -> Part:
        """All that is kept, for a checkpoint."""
        kept = [SequenceBatch.empty(categories), *self._newest.values()]
        batch = SequenceBatch.joined(kept).clone()  # a file has no tensors that share memory
        tensors = {name: getattr(batch, name) for name in _TENSORS}
        for name, category in batch.categories.items():
            tensors |= {f"ids.{name}": category.ids_N, f"offsets.{name}": category.offsets_E1}
        return Part(tensors, {"users": batch.users, "sequence_ids": batch.sequence_ids})

    def load(self, part: Part, categories: Iterable[str]) -> None:
        """Takes over what a checkpoint has, as far as there is room."""
        given = part.tensors
        of = {name: Category(given[f"ids.{name}"], given[f"offsets.{name}"]) for name in categories}
        users, sequence_ids = (tuple(part.facts[name]) for name in ("users", "sequence_ids"))
        offsets_B1, type_T, id_T, time_T, new_B, end_B = (given[name] for name in _TENSORS)
        self.add(
            SequenceBatch(offsets_B1, type_T, id_T, time_T, new_B, of, users, sequence_ids, end_B)
        )

    def _forget(self, user: int) -> None:
        sequence = self._newest.pop(user, None)
        self._tokens -= sequence.tokens if sequence else 0


@dataclass(frozen=True)
class Rehearsal:
    """What is learned again: `updates` times after each batch, from the memories of the lanes of a
    process. Without memories it is nothing."""

    memories: Mapping[int, Memory]
    updates: int = 0
    seed: int = 0

    @classmethod
    def of(cls, config: TrainConfig, lanes: int, mine: Iterable[int]) -> "Rehearsal":
        """As the settings say, of those of so many lanes that are a process's own."""
        if config.rehearsal is None:
            return cls({})
        users = max(config.rehearsal.users // lanes, 1)
        return cls({lane: Memory(users) for lane in mine}, config.rehearsal.updates, config.seed)

    def erase(self, erasures: Sequence[Erasure]) -> None:
        """Lets go of what these make void in any memory."""
        for memory in self.memories.values():
            memory.erase(erasures)

    def again(self, came: Mapping[int, SequenceBatch], step: int) -> Iterator[list[SequenceBatch]]:
        """Takes in what came to a step by lane; gives of each further update what it learns from:
        of each of these lanes about as many tokens as came."""
        for lane, memory in self.memories.items():
            if lane in came:
                memory.add(came[lane])
        for update in range(self.updates):
            yield [
                sequence
                for lane, batch in came.items()
                for sequence in self.memories[lane].drawn(
                    batch.tokens, key_of(self.seed, step, update, lane)
                )
            ]

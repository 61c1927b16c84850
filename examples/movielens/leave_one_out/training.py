"""A run over many epochs: steps, on a GPU as one CUDA graph, and its state.

Nothing that is drawn has a state: it is a hash of seed, epoch, user and place. So a run that is
resumed goes on as if it had not stopped.

Legend: U users, B users of a step, S steps of an epoch.
"""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from examples.movielens.leave_one_out.batches import Shown, batch_of, ends_of, epoch_of
from examples.movielens.leave_one_out.histories import Histories
from examples.movielens.leave_one_out.model import NextItem
from examples.movielens.leave_one_out.settings import Settings

BETAS = (0.9, 0.98)
ROOM = 1_024
"""Positions that a batch has room for are a multiple of this."""
EAGER = 3
"""Steps before a graph is made, in which kernels are compiled and memory is found."""


class Training:
    """A model that learns from histories; `held` contents of each are not shown to it."""

    def __init__(
        self, histories: Histories, settings: Settings, held: int, seed: int, device: torch.device
    ) -> None:
        self.host, self.settings, self.seed = histories, settings, seed
        self.shown = Shown(settings.length, settings.traits, held)
        self.histories = histories.to(device)
        longest = self.shown.longest(histories)
        self.model = NextItem(histories, settings, longest, seed).to(device)
        self.rate = torch.zeros((), device=device)
        self.step = torch.zeros((), dtype=torch.int64, device=device)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.rate,
            betas=BETAS,
            weight_decay=0.0,
            fused=True,
            capturable=device.type == "cuda",
        )
        self.epoch, self.room = 0, self._room()
        self.user_B, self.end_B = (
            torch.zeros(settings.batch, dtype=torch.int64, device=device) for _ in range(2)
        )
        self.loss = torch.zeros((), device=device)
        self.graph: torch.cuda.CUDAGraph | None = None
        self.eager, self.mean_loss = 0, math.nan

    def steps(self) -> Iterator[None]:
        """One epoch, a step at a time; then `mean_loss` is its loss."""
        settings, self.epoch = self.settings, self.epoch + 1
        user_SB = epoch_of(self.host.users, settings.batch, self.seed, self.epoch)
        end_U = ends_of(self.host, self.shown, self.seed, self.epoch, settings.newest)
        end_SB = end_U[user_SB.clamp(min=0)].to(self.user_B.device)
        device_SB = user_SB.to(self.user_B.device)
        steps = len(user_SB)
        total = torch.zeros_like(self.loss)
        for number in range(steps):
            self._set((self.epoch - 1) * steps + number, steps * settings.epochs)
            self.user_B.copy_(device_SB[number])
            self.end_B.copy_(end_SB[number])
            self._step()
            total += self.loss
            yield
        self.mean_loss = float(total) / steps

    def _room(self) -> int:
        """What the largest batch of all epochs needs."""
        count_U = self.shown.counts(self.host)
        most = 0
        for epoch in range(1, self.settings.epochs + 1):
            user_SB = epoch_of(self.host.users, self.settings.batch, self.seed, epoch)
            count_SB = torch.where(user_SB >= 0, count_U[user_SB.clamp(min=0)], 0)
            most = max(most, int(count_SB.sum(1).max()))
        return ROOM * -(-most // ROOM)

    def _set(self, done: int, steps: int) -> None:
        """What differs from step to step, where a graph finds it."""
        settings = self.settings
        falls = (1 + math.cos(math.pi * done / steps)) / 2 if settings.cosine else 1.0
        self.rate.fill_(settings.rate * falls)
        self.step.fill_(self.seed * 1_000_003 + done)

    def _step(self) -> None:
        """Once with what is set: at first as it is, then as a graph."""
        self.model.train()
        if self.graph is not None:
            self.graph.replay()
            return
        if self.user_B.device.type == "cuda" and self.eager == EAGER:
            self.graph = torch.cuda.CUDAGraph()
            # In the stream of the run: a graph keeps the workspace that matrix products have there,
            # and graphs of several runs, which work at one time, must not share one.
            with torch.cuda.graph(self.graph, stream=torch.cuda.current_stream()):
                self._learn()
            self.graph.replay()
            return
        self.eager += 1
        self._learn()

    def _learn(self) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        batch = batch_of(self.histories, self.shown, self.user_B, self.end_B, self.room, self.step)
        loss = self.model(batch)
        loss.backward()
        self.optimizer.step()
        self.loss.copy_(loss.detach())

    def _parameters(self) -> Iterator[tuple[str, Tensor]]:
        return self.model.named_parameters()

    def save(self, file: Path) -> None:
        """Writes the state, at the end of an epoch; a file that is there is replaced at once."""
        beside = file.with_suffix(".writing")
        save_file(self._state(), beside, {"epoch": json.dumps(self.epoch)})
        os.replace(beside, file)

    def resume(self, file: Path) -> None:
        """Goes on from what `save` wrote."""
        with safe_open(file, "pt", device=str(self.user_B.device)) as read:
            self.epoch = json.loads(read.metadata()["epoch"])
            saved = {name: read.get_tensor(name) for name in read.keys()}  # noqa: SIM118
        names = dict(self._parameters())
        with torch.no_grad():
            for name, parameter in names.items():
                parameter.copy_(saved[f"weight/{name}"])
                self.optimizer.state[parameter] = {
                    key: saved[f"{key}/{name}"] for key in ("exp_avg", "exp_avg_sq", "step")
                }

    def _state(self) -> dict[str, Tensor]:
        state = {}
        for name, parameter in self._parameters():
            state[f"weight/{name}"] = parameter.detach()
            for key, tensor in self.optimizer.state[parameter].items():
                state[f"{key}/{name}"] = tensor
        return {name: tensor.contiguous() for name, tensor in state.items()}

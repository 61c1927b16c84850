"""Starts processes that are one group over gloo, for tests of what they do together."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

PATIENCE = timedelta(seconds=300)
"""For the others, should one of them have failed."""


def together(world: int, work: Callable[[int, Path], None], folder: Path) -> None:
    """Runs `work(rank, folder)` in `world` processes. An error in any of them is raised."""
    context = multiprocessing.get_context("forkserver")  # imports torch once for all
    context.set_forkserver_preload(["torch", getattr(work, "func", work).__module__])
    with ProcessPoolExecutor(world, context, torch.set_num_threads, (1,)) as pool:
        for done in [pool.submit(work, rank, folder) for rank in range(world)]:
            done.result()


def in_group(rank: int, world: int, file: Path, work: Callable[[], None]) -> None:
    """Runs `work` while this process is one of a group, which meets at a file of its own."""
    dist.init_process_group(
        "gloo", init_method=f"file://{file}", rank=rank, world_size=world, timeout=PATIENCE
    )
    work()
    dist.barrier()
    dist.destroy_process_group()

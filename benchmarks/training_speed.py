"""What a GPU learns a second: our kernels and plain PyTorch, in two precisions.

    python -m benchmarks.training_speed SPEC FOLDER [--config FILE] [--steps 15] [--whole]

FOLDER is what `phia run` wrote. The same batches, read before, are scored and learned by `phia
train`'s trainer; the first five steps do not count. With --whole instead both precisions learn all
of the folder with our kernels, and the figures are over all that was scored, each batch before it
is learned. Without --config: width 256, 4 blocks of 4 heads a task, 32,768 tokens a step.
"""

import sys
import time
from contextlib import ExitStack
from itertools import islice
from unittest.mock import patch

import torch

from benchmarks.measure import table
from benchmarks.on_gpu import WARM, asked, in_precision
from kernels.implementations import is_triton
from model.batch import SequenceBatch
from model.config import TrainConfig
from model.exchange import Exchange
from model.reader.files import SequenceFiles
from model.trainer import Trainer
from schemas.spec import Spec

PRECISIONS = ("float32", "bfloat16")
CHOICES = {"plain PyTorch": lambda *_: False, "our kernels": is_triton}
FLAG = {"action": "store_true"}
FIGURES = ("loss/", "/ne/", "hit_rate/k=10/", "/mrr/")


def learned(trainer: Trainer, batches: list[SequenceBatch]) -> float:
    """Learns from all, and says how many tokens a second after the first steps."""
    for batch in batches[:WARM]:
        trainer.learn([batch])
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for batch in batches[WARM:]:
        trainer.learn([batch])
    torch.cuda.synchronize()
    return sum(batch.tokens for batch in batches[WARM:]) / (time.perf_counter() - begun)


def speeds(spec: Spec, config: TrainConfig, batches: list[SequenceBatch]) -> list[list[str]]:
    """A row of each way: tokens a second, ratio to the first, peak memory."""
    rows, first = [], 0.0
    for kernels in ("plain PyTorch", "our kernels"):
        for precision in PRECISIONS:
            trainer = Trainer(spec, in_precision(config, precision), Exchange.alone(), "cuda")
            torch.cuda.reset_peak_memory_stats()
            with ExitStack() as patched:
                for where in ("kernels.hstu_block", "model.graphed"):
                    patched.enter_context(patch(f"{where}.is_triton", CHOICES[kernels]))
                rate = learned(trainer, batches)
            first = first or rate
            memory = torch.cuda.max_memory_allocated() / 2**30
            name = f"{kernels}, {precision}"
            rows.append([name, f"{rate:,.0f}", f"**{rate / first:.2f}×**", f"{memory:.1f}"])
    return rows


def qualities(spec: Spec, config: TrainConfig, batches: list[SequenceBatch]) -> list[list[str]]:
    """A row of each figure, with a column of each precision."""
    found = []
    for precision in PRECISIONS:
        trainer = Trainer(spec, in_precision(config, precision), Exchange.alone(), "cuda")
        rate = learned(trainer, batches)
        figures = {name: x for name, x in trainer.report().items() if "over=all" in name}
        found.append({**figures, "loss/tokens a second": rate})
    names = [name for name in found[0] if any(part in name for part in FIGURES)]
    return [[name, *(f"{each[name]:.5g}" for each in found)] for name in names]


def main() -> int:
    """Measures and prints both tables."""
    told = asked(__doc__, "float32", steps={"type": int, "default": 15}, whole=FLAG)
    spec, config, whole = told.spec, told.config, told.more.whole
    read = iter(SequenceFiles(told.folder, spec, tokens=config.batch_tokens))
    batches = [batch.pin_memory() for batch in islice(read, None if whole else told.more.steps)]
    print(f"{len(batches)} steps of {config.batch_tokens:,} tokens, width {config.model.width}\n")
    if whole:
        print(table(["over all that was scored", *PRECISIONS], qualities(spec, config, batches)))
    else:
        print(table(["", "tokens/s", "to the first", "peak, GiB"], speeds(spec, config, batches)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

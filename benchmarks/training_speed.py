"""What a GPU learns a second: our kernels and plain PyTorch, in two precisions.

    python -m benchmarks.training_speed SPEC FOLDER [--config FILE] [--steps 15] [--whole]

FOLDER is what `phia run` wrote. The same batches, read before, are scored and learned by `phia
train`'s trainer; the first five steps do not count. With --whole instead both precisions learn all
of the folder with our kernels, and the figures are over all that was scored, each batch before it
is learned. Without --config: width 256, 4 blocks of 4 heads a task, 32,768 tokens a step.
"""

import argparse
import sys
import time
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import torch
import triton

from benchmarks.measure import table
from kernels.implementations import is_triton
from model.batch import SequenceBatch
from model.config import TrainConfig, load_config
from model.exchange import Exchange
from model.reader.files import SequenceFiles
from model.trainer import Trainer
from schemas.load import load_spec
from schemas.spec import Spec

WARM = 5
LARGE = {
    "batch_tokens": 32_768,
    "model": {"width": 256, "blocks": 4, "heads": 4, "query_width": 64, "value_width": 64},
    "retrieval": {"negatives": 1024},
}
PRECISIONS = ("float32", "bfloat16")
CHOICES = {"plain PyTorch": lambda *_: False, "our kernels": is_triton}
FIGURES = ("loss/", "/ne/", "hit_rate/k=10/", "/mrr/")


def in_precision(config: TrainConfig, precision: str) -> TrainConfig:
    """The settings with another precision."""
    written = config.model_dump(mode="json")
    written["model"]["precision"] = precision
    return TrainConfig.model_validate(written)


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
            with patch("kernels.hstu_block.is_triton", CHOICES[kernels]):
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("spec", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--steps", type=int, default=15)
    parser.add_argument("--whole", action="store_true")
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("no GPU: this measures CUDA kernels")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "triton", triton.__version__)
    spec = load_spec(given.spec)
    config = load_config(given.config) if given.config else TrainConfig.model_validate(LARGE)
    read = iter(SequenceFiles(given.folder, spec, tokens=config.batch_tokens))
    batches = [batch.pin_memory() for batch in islice(read, None if given.whole else given.steps)]
    print(f"{len(batches)} steps of {config.batch_tokens:,} tokens, width {config.model.width}\n")
    if given.whole:
        print(table(["over all that was scored", *PRECISIONS], qualities(spec, config, batches)))
    else:
        print(table(["", "tokens/s", "to the first", "peak, GiB"], speeds(spec, config, batches)))
    return 0


if __name__ == "__main__":
    sys.exit(main())

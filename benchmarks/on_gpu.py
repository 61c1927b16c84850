"""What the benchmarks of training on a GPU are told, and the settings that they train by."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import triton

from model.config import TrainConfig, load_config
from schemas.load import load_spec
from schemas.spec import Spec

WARM = 5
"""Steps that do not count."""

LARGE = {
    "batch_tokens": 32_768,
    "model": {"width": 256, "blocks": 4, "heads": 4, "query_width": 64, "value_width": 64},
    "retrieval": {"negatives": 1024},
}
"""Settings without --config."""


@dataclass(frozen=True)
class Asked:
    """A spec, a folder of `phia run`, settings; and what else the command line says."""

    spec: Spec
    folder: Path
    config: TrainConfig
    more: argparse.Namespace


def asked(document: str | None, precision: str, **more: dict[str, Any]) -> Asked:
    """What the command line says: SPEC FOLDER [--config FILE], and more options by their names,
    each with what argparse has of it. Without --config it is LARGE in a precision. Prints the GPU
    and the versions; ends with an error where there is no GPU."""
    parser = argparse.ArgumentParser(
        description=document, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("spec", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--config", type=Path)
    for name, options in more.items():
        parser.add_argument(f"--{name}", **options)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("no GPU: this measures CUDA kernels")
    print(torch.cuda.get_device_name(), "torch", torch.__version__, "triton", triton.__version__)
    config = load_config(given.config) if given.config else in_precision(_large(), precision)
    return Asked(load_spec(given.spec), given.folder, config, given)


def in_precision(config: TrainConfig, precision: str) -> TrainConfig:
    """The settings with another precision."""
    written = config.model_dump(mode="json")
    written["model"]["precision"] = precision
    return TrainConfig.model_validate(written)


def _large() -> TrainConfig:
    return TrainConfig.model_validate(LARGE)

"""Which device a model runs on."""

import torch

from schemas.failures import UsageError


def device_of(asked: str | None, rank: int = 0) -> str:
    """The device asked for, or a GPU where there is one; each process has a GPU of its own."""
    asked = asked or ("cuda" if torch.cuda.is_available() else "cpu")
    if asked not in ("cpu", "cuda"):
        raise UsageError(f"--device={asked}: must be cpu or cuda")
    if asked == "cpu":
        return asked
    if not torch.cuda.is_available():
        raise UsageError("--device=cuda: torch finds no GPU on this machine")
    return f"cuda:{rank % torch.cuda.device_count()}"

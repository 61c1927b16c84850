"""Runs Triton's kernels on whatever there is, and shows what a kernel forgets to write."""

import os
import sys
from collections.abc import Iterator

import pytest
import torch

# Triton looks at this when it is first imported, which only a call of a kernel does.
if not torch.cuda.is_available() and "triton" not in sys.modules:
    os.environ["TRITON_INTERPRET"] = "1"


@pytest.fixture(scope="session")
def device() -> torch.device:
    """A GPU, where kernels are compiled, or the CPU, where Triton's interpreter runs them."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if os.environ.get("TRITON_INTERPRET") != "1":
        pytest.fail(
            "triton was imported before tests/kernels/conftest.py could set its interpreter"
        )
    return torch.device("cpu")


@pytest.fixture(autouse=True)
def unwritten_is_nan() -> Iterator[None]:
    """Have torch.empty filled with NaN, so that a result that nobody wrote is seen."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)

"""The sequences of a small platform, made once for all tests that read them."""

import pytest

from benchmarks.click_rule import SPEC, written
from tests.benchmarks.platform import WALK, Made
from tests.pipeline.running import run_in


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A platform walked, written as events, and run through the pipeline."""
    folder = tmp_path_factory.mktemp("clicks")
    written(WALK, folder)
    ran = run_in(SPEC, folder / "in", folder / "out")
    return Made(folder / "out" / "sequences", ran.sequences())

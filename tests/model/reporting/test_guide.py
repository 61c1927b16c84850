"""The guide to training names every figure, and its code runs."""

import re
import subprocess
import sys
from pathlib import Path

from model.evaluation.ages import GROUPS
from model.evaluation.ranking import BINS, LARGEST_LOGIT
from model.evaluation.retrieval import TOP_K
from model.reporting.figures import HELP
from model.reporting.json_lines import JsonLines
from model.reporting.prometheus import PREFIX
from model.reporting.report import Reported
from tests.documents import ROOT, blocks, quoted, text_of

GUIDE = text_of(ROOT / "docs" / "guides" / "training.md")


def test_every_figure_and_age_is_there() -> None:
    assert {*HELP, *GROUPS} <= set(quoted(GUIDE))
    assert f"k = {', '.join(map(str, TOP_K))} " in GUIDE
    assert f"{BINS:,} bins of 1/{BINS / 2 / LARGEST_LOGIT:.0f}" in GUIDE


def test_every_name_of_prometheus_is_that_of_a_figure() -> None:
    known = {PREFIX + name.replace("/", "_") for name in HELP} | {
        f"{PREFIX}steps_total",
        f"{PREFIX}tokens_total",
    }
    named = set(re.findall(rf"\b{PREFIX}\w+", GUIDE))
    assert {name for name in named if name != PREFIX} <= known


def test_json_lines_are_read_as_the_guide_says(tmp_path: Path) -> None:
    lines = JsonLines(tmp_path / "metrics.jsonl")
    for step in range(1, 300):
        # The figure is first defined after more lines than are looked at by default.
        figures = {"loss/mean/task=ranking/over=window": 0.5} if step > 200 else {}
        lines.write(Reported(step, step, figures))
    lines.close()
    (code,) = (block for block in blocks(GUIDE, "python") if "read_ndjson" in block)
    done = subprocess.run(
        [sys.executable, "-c", code + "\nprint(reports[-1].row(0)[3])"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0.5"

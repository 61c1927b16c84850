"""The table of what is learned: its figures are those that were reported, late ones alone."""

import math
import sys
from pathlib import Path

import pytest

from benchmarks import learning
from model.config import TrainConfig
from tests.model import shop

SETTINGS = TrainConfig.model_validate(
    {
        "batch_tokens": 200,
        "model": {"width": 8, "blocks": 1, "heads": 2, "query_width": 4, "value_width": 4},
        "evaluation": {"window_steps": 2},
    }
)


def line(rows: int, hits: float, targets: int) -> dict[str, float]:
    full = "candidates=full/over=window"
    return {
        "reading/rows": rows,
        f"retrieval/hit_rate/k=10/{full}": hits,
        f"retrieval/targets/{full}": targets,
    }


def test_figures_are_weighted_means_of_the_late_windows() -> None:
    lines = [line(50, 0.9, 10), line(85, 0.5, 10), line(100, 0.2, 30)]
    assert math.isclose(learning.late_figures(lines, shop.SPEC, 0.2)["hr@10"], 0.275)
    assert math.isclose(learning.late_figures(lines, shop.SPEC, 1.0)["hr@10"], 20 / 50)
    assert math.isnan(learning.late_figures(lines, shop.SPEC, 0.2)["ne LIKE"])


@pytest.mark.parametrize("variant", learning.VARIANTS)
def test_a_variant_differs_from_the_full_model(variant: str) -> None:
    varied = learning.varied(SETTINGS, learning.VARIANTS[variant])
    assert (varied == SETTINGS) == (variant == "full")


def test_it_prints_a_row_for_each_variant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shop.folder(tmp_path / "made")
    monkeypatch.setattr(learning, "load_spec", lambda _: shop.SPEC)
    monkeypatch.setattr(learning, "load_config", lambda _: SETTINGS)
    names = ["full", "softmax, not pointwise"]
    command = ["learning", "spec.yaml", str(folder), "--out", str(tmp_path / "out"), "--only"]
    monkeypatch.setattr(sys, "argv", [*command, *names])
    assert learning.main() == 0
    printed = capsys.readouterr().out
    for name in names:
        assert f"| {name} |" in printed

"""The scripts run, small, and print their ratios."""

from pathlib import Path

import pytest

from benchmarks.measure import measured, module


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "arguments", "ratios"),
    [
        ("throughput", ["--scale", "0.002"], 6),
        ("firings", ["--scale", "0.01"], 9),
        ("thinning", ["--scale", "0.01"], 4),
        ("profile_run", ["--scale", "0.01"], 0),
        ("activation_memory", [], 4),
        ("vocabulary", ["--ids", "200000"], 5),
        pytest.param("kafka", ["--scale", "0.01", "--form", "json"], 2, marks=pytest.mark.kafka),
    ],
)
def test_a_script_prints_its_ratios(
    tmp_path: Path, script: str, arguments: list[str], ratios: int
) -> None:
    printed = measured(module(f"benchmarks.{script}", *arguments), tmp_path, limit=110).printed
    assert "Python" in printed.splitlines()[0]
    assert printed.count("**") == 2 * ratios
    assert printed.count("| -") >= 1

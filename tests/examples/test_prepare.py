"""What needs no data: the specs, one line where the data are not there, device families."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples.deskdrop.prepare import family
from schemas.load import load_spec
from tests.examples.example import folder_of


@pytest.mark.parametrize("name", ["deskdrop", "movielens"])
def test_the_spec_is_right(name: str) -> None:
    assert load_spec(folder_of(name) / "spec.yaml").name == name


@pytest.mark.parametrize("name", ["deskdrop", "movielens"])
def test_absent_data_are_one_line_that_says_what_to_do(name: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, str(folder_of(name) / "prepare.py"), "--output", str(tmp_path / "input")],
        env={**os.environ, "PHIA_DATA": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    assert str(tmp_path) in run.stderr
    assert "set PHIA_DATA to the folder that has" in run.stderr
    assert not (tmp_path / "input").exists()


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        ("", ""),
        ("Android - Native Mobile App", "android app"),
        ("Mozilla/5.0 (Linux; Android 6.0.1; Moto G) Chrome/51.0.2704.81 Mobile", "android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 9_3_2 like Mac OS X) Safari/601.1", "iphone"),
        ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_5) Chrome/51.0.2704.103", "mac"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/52.0.2743.116", "linux"),
        ("curl/7.47.0", "other"),
    ],
)
def test_a_device_is_the_family_of_its_agent(agent: str, device: str) -> None:
    assert family(agent) == device

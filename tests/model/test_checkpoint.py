"""Checkpoints are whole or not there, and say what is wrong with them."""

import json
import os
from pathlib import Path

import pytest
import torch

from model.checkpoint import Checkpoint, CheckpointError, Checkpoints, Part
from model.exchange import Exchange

DENSE = {"w": torch.arange(6.0).view(2, 3), "n": torch.tensor(7)}


def checkpoints(folder: Path, keep: int = 2) -> Checkpoints:
    return Checkpoints(folder, keep, Exchange.alone())


def saved(folder: Path, step: int = 5) -> Checkpoint:
    parts = {"dense": Part(DENSE, {"a": 1}), "table-000": Part({}, [1, 2])}
    checkpoints(folder).save(step, {"spec": "abc"}, parts)
    found = checkpoints(folder).newest()
    assert found is not None
    return found


def test_what_is_saved_is_found(tmp_path: Path) -> None:
    found = saved(tmp_path)
    assert (found.step, found.facts) == (5, {"spec": "abc"})
    assert found.names() == ["dense", "table-000"]
    assert found.names("table-") == ["table-000"]
    dense = found.part("dense")
    assert dense.facts == {"a": 1}
    assert {k: v.tolist() for k, v in dense.tensors.items()} == {
        k: v.tolist() for k, v in DENSE.items()
    }
    assert found.part("table-000").facts == [1, 2]


def test_there_is_none_at_first(tmp_path: Path) -> None:
    assert checkpoints(tmp_path / "absent").newest() is None
    assert checkpoints(tmp_path).newest() is None


def test_the_last_few_are_kept(tmp_path: Path) -> None:
    for step in (5, 7, 30, 100):
        saved(tmp_path, step)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "step-000000000030",
        "step-000000000100",
    ]


@pytest.mark.parametrize("moment", ["safetensors", "json", "manifest", "rename"])
def test_one_half_written_is_never_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    saved(tmp_path, 5)

    def dies(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    where = {
        "safetensors": "model.checkpoint.save_file",
        "json": "model.checkpoint._write_whole",
        "manifest": "model.checkpoint._described",
        "rename": "pathlib.Path.rename",
    }
    with monkeypatch.context() as patch:
        patch.setattr(where[moment], dies)
        with pytest.raises(KeyboardInterrupt):
            checkpoints(tmp_path).save(6, {}, {"dense": Part(DENSE)})
    found = checkpoints(tmp_path).newest()
    assert found is not None
    assert found.step == 5
    saved(tmp_path, 7)
    assert not list(tmp_path.glob(".writing-*"))


def test_a_step_may_be_saved_again(tmp_path: Path) -> None:
    saved(tmp_path, 5)
    checkpoints(tmp_path).save(5, {"spec": "new"}, {})
    found = checkpoints(tmp_path).newest()
    assert found is not None
    assert (found.facts, found.names()) == ({"spec": "new"}, [])


@pytest.mark.parametrize("name", ["dense.safetensors", "dense.json"])
def test_a_damaged_part_is_refused(tmp_path: Path, name: str) -> None:
    found = saved(tmp_path)
    path = found.path / name
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"{name}: is not what was written; remove step-"):
        found.part("dense")
    os.remove(path)
    with pytest.raises(CheckpointError, match=f"has no {name}"):
        found.part("dense")


def test_a_manifest_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    manifest = saved(tmp_path).path / "manifest.json"
    said = json.loads(manifest.read_bytes())
    manifest.write_text(json.dumps(said | {"format": 99}))
    with pytest.raises(CheckpointError, match="is of format 99; this is for format 1"):
        checkpoints(tmp_path).newest()
    manifest.write_text("{")
    with pytest.raises(CheckpointError, match="no manifest that can be read"):
        checkpoints(tmp_path).newest()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match=r"cannot write .*file"):
        checkpoints(tmp_path / "file").save(1, {}, {})

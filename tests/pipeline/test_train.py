"""A run of training: the same whether it is stopped or not, and by however many processes."""

import functools
import io
import json
import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from rich.console import Console

from model import saving
from model.checkpoint import Checkpoint, CheckpointError, Checkpoints
from model.config import TrainConfig
from model.exchange import Exchange
from pipeline.train.command import train_as
from pipeline.train.options import Input, Training, input_of
from schemas.failures import UsageError
from schemas.outputs import TOMBSTONES
from tests.model import shop
from tests.model.processes import in_group, together

SETTINGS: dict[str, Any] = {
    "batch_tokens": 160,
    "lanes": 4,
    "model": {"width": 8, "blocks": 1, "heads": 2, "query_width": 4, "value_width": 4},
    "retrieval": {"negatives": 8},
    "optimizer": {"warmup_steps": 3},
    "evaluation": {"window_steps": 1},
    "checkpoint": {"every_steps": 4, "keep": 100},
}

AGAIN: dict[str, Any] = {"rehearsal": {"users": 24, "updates": 2}}
"""Sequences are learned again: three times the updates, by which rounding grows faster."""
ALIKE = 12
"""Steps in which it has not yet grown beyond what is taken for it."""


def training(folder: Path, checkpoint: Path, steps: int | None = None, **more: Any) -> Training:
    config = TrainConfig.model_validate({**SETTINGS, **more})
    return Training(shop.SPEC, config, Input(folder), checkpoint, "cpu", steps)


def trained(what: Training, exchange: Exchange | None = None) -> int:
    return train_as(what, exchange or Exchange.alone(), Console(file=io.StringIO()))


def lines(checkpoint: Path) -> list[dict[str, float]]:
    """What was reported, without what depends on the clock."""
    text = (checkpoint / "metrics.jsonl").read_text()
    found = [json.loads(line) for line in text.splitlines()]
    drop = ("time", "speed/tokens_per_second")
    return [{k: v for k, v in line.items() if k not in drop} for line in found]


def newest(checkpoint: Path) -> Checkpoint:
    found = Checkpoints(checkpoint, 1, Exchange.alone()).newest()
    assert found is not None
    return found


def assert_close(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    """The same but for rounding, which Adam makes larger from step to step: losses to 1e-3.
    Figures of memory depend on the processes, and a rank may change places with its neighbour."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            if name.startswith("loss/"):
                assert math.isclose(value, other[name], rel_tol=1e-3, abs_tol=1e-6), name
            elif not name.startswith("vocabulary/bytes"):
                assert math.isclose(value, other[name], rel_tol=0.02, abs_tol=0.02), name


@pytest.fixture(scope="module")
def sequences(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop.folder(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="module")
def undisturbed(sequences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = tmp_path_factory.mktemp("undisturbed")
    assert trained(training(sequences, checkpoint)) > 12
    return checkpoint


@pytest.fixture(scope="module")
def learned_again(sequences: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    checkpoint = tmp_path_factory.mktemp("again")
    assert trained(training(sequences, checkpoint, **AGAIN)) > ALIKE
    return checkpoint


@pytest.mark.parametrize("stops", [(1,), (5,), (3, 4, 9)])
def test_a_run_that_is_stopped_goes_on_as_if_it_was_not(
    sequences: Path, learned_again: Path, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    for stop in stops:
        assert trained(training(sequences, tmp_path, stop, **AGAIN)) == stop
    trained(training(sequences, tmp_path, **AGAIN))
    final, expected = newest(tmp_path), newest(learned_again)
    assert final.step == expected.step
    assert final.facts == expected.facts
    for name in expected.names():
        found, wanted = final.part(name).tensors, expected.part(name).tensors
        assert found.keys() == wanted.keys()
        for key, tensor in wanted.items():
            assert torch.equal(found[key], tensor), (name, key)
    once = {line["step"]: line for line in lines(tmp_path)}
    wanted_lines = {line["step"]: line for line in lines(learned_again)}
    windows = [name for name in wanted_lines[5] if "over=all" in name]
    assert windows
    for step, line in wanted_lines.items():
        assert {k: once[step][k] for k in windows if k in line} == {
            k: line[k] for k in windows if k in line
        }


def _as_one_of(world: int, what: Training, rank: int, folder: Path) -> None:
    def work() -> None:
        trained(what, Exchange.of_group())

    in_group(rank, world, folder / f"meeting-{what.most_steps}-{world}", work)


def with_processes(world: int, what: Training, folder: Path) -> None:
    if world == 1:
        trained(what)
    else:
        together(world, functools.partial(_as_one_of, world, what), folder)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("worlds", [(2, 4), (4, 1), (1, 2)])
def test_the_number_of_processes_changes_nothing_but_rounding(
    sequences: Path, undisturbed: Path, tmp_path: Path, worlds: tuple[int, int]
) -> None:
    checkpoint, meeting = tmp_path / "checkpoint", tmp_path
    with_processes(worlds[0], training(sequences, checkpoint, 6), meeting)
    with_processes(worlds[1], training(sequences, checkpoint), meeting)
    assert newest(checkpoint).step == newest(undisturbed).step
    found = {line["step"]: line for line in lines(checkpoint)}
    expected = {line["step"]: line for line in lines(undisturbed)}
    assert_close(list(found.values()), list(expected.values()))


def test_who_was_erased_meanwhile_is_not_learned_again(tmp_path: Path) -> None:
    """And is in no checkpoint from then on."""
    folder, checkpoint = shop.folder(tmp_path), tmp_path / "checkpoint"
    trained(training(folder, checkpoint, 6, **AGAIN))
    assert "user-3" in rehearsed(checkpoint)
    time = datetime.fromtimestamp(2**31, UTC)
    erased = pa.Table.from_pylist([{"user_id": "user-3", "time": time}], TOMBSTONES)
    (folder / "tombstones").mkdir()
    pq.write_table(erased, folder / "tombstones" / "part-0.parquet")
    trained(training(folder, checkpoint, 7, **AGAIN))
    assert rehearsed(checkpoint) >= {"user-2", "user-4"}
    assert "user-3" not in rehearsed(checkpoint)


def rehearsed(checkpoint: Path) -> set[str]:
    """The users whose sequences the newest checkpoint has."""
    found = newest(checkpoint)
    return {user for name in found.names("rehearsal-") for user in found.part(name).facts["users"]}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_each_lane_learns_the_same_again_in_whatever_process(
    sequences: Path, learned_again: Path, tmp_path: Path
) -> None:
    for world, steps in ((2, 5), (4, ALIKE)):
        with_processes(world, training(sequences, tmp_path, steps, **AGAIN), tmp_path)
    assert_close(lines(tmp_path), lines(learned_again)[:ALIKE])


def test_a_checkpoint_with_a_setting_that_is_none_is_refused(
    sequences: Path, tmp_path: Path
) -> None:
    trained(training(sequences, tmp_path, 1))
    checkpoint = newest(tmp_path)
    other = replace(checkpoint, facts={"config": {**checkpoint.facts["config"], "updates": 3}})
    with pytest.raises(CheckpointError, match=r"updates=3: unknown key; .*; name another --check"):
        saving.settings_of(other)


def test_a_checkpoint_of_another_model_or_spec_is_refused(sequences: Path, tmp_path: Path) -> None:
    trained(training(sequences, tmp_path, 1))
    with pytest.raises(CheckpointError, match=r"model\.width was 8, not 16; name another"):
        trained(training(sequences, tmp_path, model={**SETTINGS["model"], "width": 16}))
    with pytest.raises(UsageError, match=r"lanes=3: the checkpoint's run has 4"):
        trained(training(sequences, tmp_path, lanes=3))
    other = shop.SPEC.model_copy(update={"actions": ("LIKE", "VIEW")})
    what = training(sequences, tmp_path)
    with pytest.raises(CheckpointError, match="ids of tokens mean something else"):
        trained(Training(other, what.config, what.input, tmp_path, "cpu"))


def test_two_runs_do_not_share_a_folder(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.train.command.take_lock", lambda *_: None)
    with pytest.raises(UsageError, match="another run trains there"):
        trained(training(sequences, tmp_path))


def test_a_trainer_needs_no_beam() -> None:
    program = (
        "import sys, pipeline.cli, pipeline.train.command; print('apache_beam' in sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert ran.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("device", "error"),
    [("tpu", "--device=tpu: must be cpu or cuda"), ("cuda", "torch finds no GPU")],
)
def test_a_device_that_is_not_there_is_refused(
    sequences: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, error: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    what = training(sequences, tmp_path)
    with pytest.raises(UsageError, match=error):
        trained(replace(what, device=device))


def test_the_folder_of_sequences_may_be_named_itself(sequences: Path) -> None:
    for name in (sequences, sequences / "sequences", f"{sequences}/sequences/"):
        assert input_of(str(name), None, False, {}) == Input(sequences.resolve())
    with pytest.raises(UsageError, match="must be a folder of phia run"):
        input_of(str(sequences.parent), None, False, {})


def test_time_does_not_go_back_over_a_stop(sequences: Path, tmp_path: Path) -> None:
    what = training(sequences, tmp_path, 3)
    trained(what)
    found = saving.trained(tmp_path, shop.SPEC)
    assert found.tables.now_ms == int(found.tables.content.state()["last_seen"].max()) > 0

"""Reports as TensorBoard shows them, also after a trainer was killed."""

from pathlib import Path

import pytest

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from model.reporting.report import Reported
from model.reporting.tensorboard import TensorBoard
from schemas.failures import UsageError

LOSS = "loss/over=window"


def points(folder: Path, name: str = LOSS) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(name)]


def test_each_report_is_there_at_once(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path)
    board.write(Reported(1, 100, {LOSS: 0.5}))
    board.write(Reported(2, 200, {LOSS: 0.25}))
    assert points(tmp_path) == [(1, 0.5), (2, 0.25)]
    assert points(tmp_path, "train/tokens") == [(1, 100), (2, 200)]
    board.close()


def test_steps_after_a_checkpoint_give_way_to_those_that_come_again(tmp_path: Path) -> None:
    killed = TensorBoard(tmp_path)  # and so not closed
    for step in (1, 2, 3, 4):
        killed.write(Reported(step, 0, {LOSS: step}))
    resumed = TensorBoard(tmp_path, after=2)
    for step in (3, 4, 5):
        resumed.write(Reported(step, 0, {LOSS: 10 * step}))
    resumed.close()
    assert points(tmp_path) == [(1, 1), (2, 2), (3, 30), (4, 40), (5, 50)]


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file: "):
        TensorBoard(tmp_path / "file")

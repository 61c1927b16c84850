"""Reports as scalars for TensorBoard."""

from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from model.reporting.report import Reported
from schemas.failures import Failure, UsageError


class TensorBoard:
    """Adds event files to a folder. Opened after a step, it marks what older files hold of later
    steps as void, and TensorBoard does not show it."""

    def __init__(self, folder: Path, after: int = 0) -> None:
        """Raises UsageError where the folder cannot be written."""
        self._folder = folder
        try:
            self._writer = SummaryWriter(str(folder), purge_step=after + 1)
        except OSError as error:
            raise UsageError(f"{folder}: {error.strerror}") from error

    def write(self, reported: Reported) -> None:
        """Adds all figures at a step, and the tokens as `train/tokens`. Raises Failure."""
        try:
            for name, number in {**reported.figures, "train/tokens": reported.tokens}.items():
                self._writer.add_scalar(name, number, reported.step)
            # Else a killed process would leave a gap before the step that the next goes on from.
            self._writer.flush()
        except OSError as error:
            raise Failure(f"{self._folder}: {error.strerror}") from error

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()

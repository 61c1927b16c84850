"""One run, by its name in settings.py: ranks of all targets that it was judged on, and its cost.

    python -m examples.movielens.one_pass.run SPEC FOLDER --variant NAME [--out OUT] [--device cuda]

FOLDER is what `phia run` wrote with SPEC. OUT/NAME.parquet has the ranks (ranks.py), OUT/NAME.jsonl
a line now and then of what was trained on so far; both are written as it goes.
"""

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from examples.movielens.one_pass.online import Cost, OnePass, Watched
from examples.movielens.one_pass.popularity import popularity
from examples.movielens.one_pass.ranks import Ranks
from examples.movielens.one_pass.rival import Rival, set_rates
from examples.movielens.one_pass.settings import VARIANTS, Variant
from examples.movielens.one_pass.stream import Sessions
from model.exchange import Exchange
from model.reader.files import SequenceFiles
from model.trainer import Trainer
from pipeline.device import device_of
from pipeline.train.command import choosing_of
from schemas.load import load_spec
from schemas.spec import Spec

EVERY_S = 20.0
PARTS = 10
"""Of the time that a rival is judged on: it is refitted before each."""
AGAIN_RATE = 0.3
"""Of its first rates, those that a refit begins with."""


@dataclass
class Written:
    """The files of a run."""

    out: Path
    name: str
    begun: float = field(default_factory=time.perf_counter)
    at: float = 0.0

    def line(self, cost: Cost, **more: float) -> None:
        """Adds a line."""
        said = {"seconds": round(time.perf_counter() - self.begun, 1), **asdict(cost), **more}
        with (self.out / f"{self.name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(said) + "\n")

    def ranks(self, ranks: Ranks, mark: str = "") -> None:
        """Writes the ranks so far."""
        ranks.write(self.out / f"{self.name}{mark}.parquet")

    def is_due(self) -> bool:
        """Whether it is some time since it last was."""
        now = time.perf_counter()
        if now - max(self.at, self.begun) < EVERY_S:
            return False
        self.at = now
        return True


def run(spec: Spec, folder: Path, variant: Variant, written: Written, device: str) -> None:
    """One run to its end."""
    sessions = Sessions.of(folder, spec)
    if variant.kind == "popular":
        written.ranks(popularity(sessions))
        return
    config = variant.config()
    trainer = Trainer(spec, config, Exchange.alone(), device)
    since, until = sessions.edge(variant.share), sessions.edge(variant.until)
    late = (since, until, variant.late_tokens or config.batch_tokens)
    if variant.kind == "online":
        _online(trainer, folder, written, [(-1, since, config.batch_tokens), late])
        return
    _rival(Rival(trainer, sessions), (since, until), variant, written)
    if variant.kind == "online after":
        set_rates(trainer, config.optimizer.rate, config.optimizer.table_rate)
        _online(trainer, folder, replace(written, name=f"{written.name}-on"), [late])


def _online(
    trainer: Trainer, folder: Path, written: Written, times: Sequence[tuple[int, int, int]]
) -> None:
    """One pass over some times: (since, until] in ms, and how many tokens a step has then."""
    passing = OnePass(trainer)
    choose = choosing_of(trainer.spec, trainer.config, 1)
    for since, until, tokens in times:
        watched = Watched(choose, since, until)
        batches = SequenceFiles(folder, trainer.spec, tokens=tokens, choose=watched)
        for _ in passing.steps(batches, watched):
            if written.is_due():
                written.line(passing.cost, step=trainer.step)
                written.ranks(passing.ranks)
    written.line(passing.cost, step=trainer.step, end=1)
    written.ranks(passing.ranks)


def _rival(rival: Rival, last: tuple[int, int], variant: Variant, written: Written) -> None:
    """Many epochs, judged on the last part of the time."""
    for epoch in rival.epochs(last[0], variant.epochs):
        written.line(rival.cost, epoch=epoch)
        if epoch in variant.judged:
            written.ranks(rival.judged(*last), f"-{epoch}")
    if variant.kind == "refitted":
        _refitted(rival, variant, written)


def _refitted(rival: Rival, variant: Variant, written: Written) -> None:
    """Some epochs more on all that was over before each of ten parts, which is judged then."""
    ranks, sessions = Ranks(), rival.sessions
    since = sessions.edge(variant.share)
    for part in range(1, PARTS + 1):
        for epoch in rival.epochs(since, variant.again, AGAIN_RATE):
            written.line(rival.cost, part=part, epoch=epoch)
        until = sessions.edge(variant.share + (variant.until - variant.share) * part / PARTS)
        ranks.parts += rival.judged(since, until).parts
        written.ranks(ranks, "-again")
        since = until


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spec", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--variant", choices=[*VARIANTS], required=True)
    parser.add_argument("--out", type=Path, default=Path("out/movielens/one_pass/runs"))
    parser.add_argument("--device")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    written = Written(given.out, given.variant)
    variant = VARIANTS[given.variant]
    run(load_spec(given.spec), given.folder, variant, written, device_of(given.device, 0))


if __name__ == "__main__":
    main()

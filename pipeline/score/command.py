"""A run of `phia score`: a checkpoint, a folder of histories and a file of candidates to scores."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from model.batch import Category, SequenceBatch
from model.saving import trained
from model.scoring.history import Request
from model.scoring.scorer import Scorer, Serving
from pipeline.score.histories import Histories
from pipeline.score.output import rows_of, schema_of, written
from pipeline.score.requests import Asked, requests_in
from pipeline.train.options import folder_of
from schemas.ids import id_of
from schemas.spec import Spec


@dataclass(frozen=True)
class Scoring:
    """What is to be scored, with what, and where the scores go; None is standard output."""

    spec: Spec
    checkpoint: Path
    input: str
    candidates: Path
    device: str
    output: Path | None = None
    replace: bool = False
    serving: Serving = field(default_factory=Serving)


def score(what: Scoring, shell: BinaryIO) -> Mapping[str, float]:
    """Scores all requests in order. Returns how many requests, candidates and requests without a
    history there were, and the figures of the scorer.

    Raises UsageError and Failure of one line, also for the line of the file that is wrong.
    """
    trainer = trained(what.checkpoint, what.spec, what.device)
    scorer = Scorer(what.spec, trainer.model, trainer.tables, what.serving)
    histories = Histories(folder_of(what.input), what.spec)
    schema, counts = schema_of(what.spec), Counter[str]()
    with written(what.output, what.replace, schema, shell) as write:
        for asked in requests_in(what.candidates, what.spec):
            found = histories.of(asked)
            scores = scorer.score(list(map(request_of, asked, found)))
            write(rows_of(asked, scores, schema))
            counts["requests"] += len(asked)
            counts["candidates"] += sum(map(len, scores))
            counts["without_history"] += sum(not each.sequences for each in found)
    return {**counts, **scorer.figures()}


def summary(counts: Mapping[str, float]) -> str:
    """One line on what `score` has returned."""
    asked = Counter(counts)
    line = f"{asked['candidates']:,} candidates of {asked['requests']:,} requests"
    line += f", {asked['without_history']:,} of them without a history"
    if "bytes" not in counts:
        return line
    line += f"; tokens of histories: {counts['tokens_new']:,.0f} computed"
    line += f", {counts['tokens_kept']:,.0f} kept"
    line += f"; cache: {counts['bytes_used']:,.0f} of {counts['bytes']:,.0f} bytes"
    return f"{line}, {counts['evicted']:,.0f} users evicted"


def request_of(asked: Asked, history: SequenceBatch) -> Request:
    """A line of the file with the user's history."""
    return Request(
        asked.user,
        history,
        torch.tensor(list(map(id_of, asked.candidates)), dtype=torch.int64),
        asked.time_ms,
        {name: _category(lists) for name, lists in asked.categories.items()},
    )


def _category(lists: Sequence[Sequence[int]]) -> Category:
    ends = torch.tensor([0, *map(len, lists)]).cumsum(0)
    ids: Tensor = torch.tensor([each for some in lists for each in some], dtype=torch.int64)
    return Category(ids, ends)

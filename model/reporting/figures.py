"""All figures that a trainer reports: what they are, and which the progress line shows."""

from collections.abc import Sequence

from model.evaluation import losses, ranking, reading, retrieval
from model.reporting import report

HELP = {
    **report.HELP,
    **losses.HELP,
    **ranking.HELP,
    **retrieval.HELP,
    **reading.HELP,
    "vocabulary/rows": "Ids that have a row, of all processes.",
    "vocabulary/bytes": "Bytes of a table, of all processes.",
    "vocabulary/catalogue": "Contents that can be recommended.",
}
"""What each figure says, by its name without labels."""


def shown(actions: Sequence[str]) -> dict[str, str]:
    """The figures of the progress line and what each is called there."""
    losses = {f"loss/mean/task={task}/over=window": f"{task} loss" for task in _TASKS}
    entropies = {f"ranking/ne/action={name}/over=window": f"NE {name}" for name in actions[:2]}
    found = {
        "retrieval/hit_rate/k=10/candidates=full/over=window": "HR@10",
        "retrieval/log_perplexity/candidates=full/over=window": "log ppl",
    }
    return losses | entropies | found


_TASKS = ("ranking", "retrieval")

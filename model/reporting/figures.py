"""All figures that a trainer reports: what they are, and which the progress line shows."""

from collections.abc import Sequence

from model.evaluation import losses, ranking, reading, retrieval
from model.evaluation.windows import WINDOW
from model.reporting import report
from model.reporting.names import figure

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
    found = {figure("loss/mean", task=task, over=WINDOW): f"{task} loss" for task in _TASKS}
    for name in actions[:2]:
        found[figure("ranking/ne", action=name, over=WINDOW)] = f"NE {name}"
    found[figure("retrieval/hit_rate", k=10, candidates="full", over=WINDOW)] = "HR@10"
    found[figure("retrieval/log_perplexity", candidates="full", over=WINDOW)] = "log ppl"
    return found


_TASKS = ("ranking", "retrieval")

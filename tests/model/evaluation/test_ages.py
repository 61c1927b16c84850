"""Groups of age: their ends, what was never seen, and times that go back."""

import pytest
import torch

from model.evaluation.ages import GROUPS, NEVER, age_groups, members

HOUR, DAY = 3_600_000, 86_400_000


@pytest.mark.parametrize(
    ("age", "group"),
    [
        (-5 * DAY, "<1h"),
        (0, "<1h"),
        (HOUR - 1, "<1h"),
        (HOUR, "<1d"),
        (DAY - 1, "<1d"),
        (DAY, "<7d"),
        (7 * DAY - 1, "<7d"),
        (7 * DAY, "<30d"),
        (30 * DAY - 1, "<30d"),
        (30 * DAY, "older"),
        (4000 * DAY, "older"),
    ],
)
def test_a_group_ends_where_the_next_begins(age: int, group: str) -> None:
    first = torch.tensor([1_700_000_000_000])
    assert GROUPS[int(age_groups(first + age, first))] == group


def test_what_was_never_seen_is_new_at_any_time() -> None:
    time = torch.tensor([-1, 0, 10, 1_700_000_000_000])
    assert age_groups(time, torch.full_like(time, NEVER)).tolist() == [0] * 4


def test_each_engagement_is_member_of_its_group_alone() -> None:
    found = members(torch.tensor([0, 5, 5, 2]))
    assert found.shape == (len(GROUPS), 4)
    assert found.sum(0).tolist() == [1.0] * 4
    assert found.sum(1).tolist() == [1, 0, 1, 0, 0, 2]

"""Settings that mean nothing for a kind of table are refused, not ignored."""

import pytest

from model.vocabulary.settings import VocabularySettings


@pytest.mark.parametrize(
    ("kind", "key", "value"),
    [
        ("hashed", "capacity", 10),
        ("hashed", "admit_after", 2),
        ("hashed", "counters", 2**17),
        ("hashed", "max_age", "3d"),
        ("grows", "buckets", 10),
    ],
)
def test_settings_of_another_kind_are_refused(kind: str, key: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"means nothing for kind: {kind}"):
        VocabularySettings.model_validate({"kind": kind, key: value})


def test_ages_are_written_as_durations() -> None:
    assert VocabularySettings.model_validate({"max_age": "2d"}).max_age == 2 * 86_400_000
    assert VocabularySettings(kind="hashed", buckets=10).buckets == 10

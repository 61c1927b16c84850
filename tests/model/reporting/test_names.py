"""Names of figures come apart as they were put together."""

from hypothesis import given
from hypothesis import strategies as st

from model.reporting.names import figure, parts

words = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)


def test_a_name_reads_from_the_general_to_the_special() -> None:
    name = figure("retrieval/hit_rate", k=10, candidates="full")
    assert name == "retrieval/hit_rate/k=10/candidates=full"
    assert figure("loss") == "loss"


@given(st.lists(words, min_size=1, max_size=3), st.dictionaries(words, st.text(min_size=1)))
def test_any_value_comes_back(path: list[str], labels: dict[str, str]) -> None:
    assert parts("/".join([figure("/".join(path)), *_labels(labels)])) == ("/".join(path), labels)


def _labels(labels: dict[str, str]) -> list[str]:
    return [figure("", **{label: value})[1:] for label, value in labels.items()]

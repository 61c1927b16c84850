"""Ids: text, number and hash; canonical JSON; buckets."""

import json
from typing import Any

import pytest
import xxhash
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.ids import HASHED, bucket_of, canonical_json, content_id, id_of, text_of
from tests.oracles import text as oracle

SCALARS = st.one_of(
    st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    st.one_of(st.none(), SCALARS),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("", ""), ("7", "7"), ("é", "é"), (7, "7"), (-7, "-7"), (2**64, str(2**64)), (7.0, "7"),
        (-0.0, "0"), (0.5, "0.5"), (1e22, "1" + "0" * 22), (1e-7, "1e-07"), (0.1, "0.1"),
        (True, "true"), (False, "false"),
    ],
)  # fmt: skip
def test_text_of(value: Any, text: str) -> None:
    assert text_of(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_json_has_no_number_for_has_no_text(value: float) -> None:
    with pytest.raises(ValueError, match="is not a number from -1"):
        text_of(value)
    with pytest.raises(ValueError, match="is not a number from -1"):
        canonical_json([value])


@pytest.mark.parametrize("text", ["1", "9", "10", str(HASHED - 1), "4611686018427387903"])
def test_plain_integers_are_themselves(text: str) -> None:
    assert id_of(text) == int(text)


@pytest.mark.parametrize(
    "text",
    ["", "0", "-1", "01", "+1", "1.0", "1e3", " 1", "1 ", "1\n", "é", "١", "１", "true",
     str(HASHED), str(2**63), str(2**64), "9" * 19, "9" * 5000, "x" * 10_000],
)  # fmt: skip
def test_any_other_text_is_hashed(text: str) -> None:
    assert id_of(text) == HASHED + xxhash.xxh3_64_intdigest(text.encode()) % HASHED
    assert HASHED <= id_of(text) < 2 * HASHED


def test_null_is_0() -> None:
    assert id_of(None) == 0


@given(SCALARS)
@example("1" * 20)
def test_ids_as_the_oracle_has_them(value: Any) -> None:
    assert text_of(value) == oracle.text_of(value)
    assert id_of(text_of(value)) == oracle.id_of(oracle.text_of(value))


@given(VALUES)
def test_canonical_json_as_the_oracle_has_it(value: Any) -> None:
    assert canonical_json(value) == oracle.canonical_json(value)


@given(VALUES)
def test_canonical_json_is_json(value: Any) -> None:
    text = canonical_json(value)
    assert canonical_json(json.loads(text)) == text


def test_canonical_json_is_compact_sorted_and_escapes_only_what_it_must() -> None:
    value = {"b": [1.0, None, True], "a": "é/\x7f\u2028", "": '"\\\n\x1f', "é": {}, "B": []}
    want = '{"":"\\"\\\\\\n\\u001f","B":[],"a":"é/\x7f\u2028","b":[1,null,true],"é":{}}'
    assert canonical_json(value) == want


def test_content_ids_and_buckets_are_the_same_for_ever() -> None:
    assert content_id('{"a":1}') == xxhash.xxh3_128_hexdigest(b'{"a":1}')
    assert [bucket_of(user, 7) for user in ("u", "1", "é")] == [
        xxhash.xxh3_64_intdigest(user.encode()) % 7 for user in ("u", "1", "é")
    ]
    counts = [0] * 16
    for n in range(16_000):
        counts[bucket_of(f"user {n}", 16)] += 1
    assert 850 < min(counts) <= max(counts) < 1150

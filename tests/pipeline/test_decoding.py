"""Decoding as the readers do it: what each output is given, once."""

import numpy as np

from pipeline import decoding
from pipeline.decoding import Decoding
from schemas.fetched import Origin, Texts
from tests.machine import Raw, as_texts, spec_of
from tests.oracles import shop
from tests.outcome import Row
from tests.recorded import recorded

SPEC = spec_of(shop.spec_of())


def tagged(worker: Decoding, *raws: Raw) -> dict[str, list[Row]]:
    texts = as_texts(raws)
    fetched = Texts("e", texts, Origin(file="e.jsonl", line=np.arange(1, len(texts) + 1)))
    return {tag: rows.to_pylist() for tag, rows in worker.tagged(worker.decode(fetched))}


def test_each_output_is_given_what_is_its_own_and_nothing_empty() -> None:
    found = tagged(Decoding(SPEC), shop.at(0, i="shoe", a="VIEW", land="de"), b"[]", b"{")
    assert set(found) == {"observations", "rejected", "dictionary", "statistics"}
    assert [row["reason"] for row in found["rejected"]] == ["not_a_record", "malformed"]
    assert {(row["kind"], row["text"]) for row in found["dictionary"]} == {
        ("item", "shoe"), ("feature:land", "de")
    }  # fmt: skip
    measures = sorted((row["measure"], row["key"], row["value"]) for row in found["statistics"])
    assert measures == [
        ("bytes", None, 89.0), ("records", None, 1.0),
        ("rejected", "malformed", 1.0), ("rejected", "not_a_record", 1.0),
    ]  # fmt: skip
    assert set(tagged(Decoding(SPEC), b"{")) == {"rejected", "statistics"}
    assert tagged(Decoding(SPEC)) == {}


def test_a_worker_gives_a_text_once(monkeypatch: object) -> None:
    worker = Decoding(SPEC)
    assert len(tagged(worker, shop.at(0, i="shoe", a="VIEW"))["dictionary"]) == 1
    assert "dictionary" not in tagged(worker, shop.at(1, i="shoe", a="VIEW"))
    assert len(tagged(worker, shop.at(1, i="hat", a="VIEW", c="shoe"))["dictionary"]) == 2


def test_a_text_is_given_anew_where_the_bundle_that_gave_it_may_have_failed() -> None:
    worker = Decoding(SPEC)
    first = tagged(worker, shop.at(0, i="shoe", a="VIEW"))["dictionary"]
    worker.forget()
    assert tagged(worker, shop.at(0, i="shoe", a="VIEW"))["dictionary"] == first


def test_what_a_worker_remembers_is_bounded() -> None:
    import pytest

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "_REMEMBERED", 1)
        worker = Decoding(SPEC)
        tagged(worker, shop.at(0, i="shoe", a="VIEW"), shop.at(1, i="hat", a="VIEW"))
        assert len(tagged(worker, shop.at(2, i="hat", a="VIEW"))["dictionary"]) == 1


def test_the_fields_looked_at_are_the_top_level_ones() -> None:
    spec = shop.spec_of()
    spec["sources"]["e"]["features"]["land"] = {"field": "geo.land"}
    assert Decoding(spec_of(spec)).columns("e") == {
        "u", "t", "id", "i", "a", "c", "geo", "held", "price", "add", "rem"
    }  # fmt: skip


def test_records_are_counted_by_source_and_reason() -> None:
    with recorded() as counts:
        tagged(Decoding(SPEC), shop.at(0, i=1, a="VIEW"), shop.at(1, i=1, a="VIEW"), b"{")
    assert counts.pop("stage_us_sum:decode") > 0
    assert counts == {
        "stage_us_count:decode": 1,
        "records:e": 2,
        "filtered:e": 0,
        "rejected:e:malformed": 1,
    }

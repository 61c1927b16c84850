"""examples/shop reads what the simulated platform makes."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.simulate.faults import LATE_BY_MS, MOST_DELAY_MS
from pipeline.simulate.files import write_files
from pipeline.simulate.fit import form_for
from pipeline.simulate.platform import Platform
from schemas.load import load_spec
from schemas.paths import split_path
from schemas.spec import Source, Spec

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "spec.yaml"


@pytest.fixture(scope="module")
def shop() -> Spec:
    return load_spec(SHOP)


def changed(spec: Spec, **fields: Any) -> Spec:
    return spec.model_copy(update=fields)


def fields_of(source: Source) -> set[str]:
    """Every field that the source names, as the spec writes it."""
    named = {source.user, source.time.field, *source.categories.values(), *source.dropped}
    ids = source.event_id or ()
    named.update([ids] if isinstance(ids, str) else ids)
    matches = [match.field for match in (source.end, source.where) if match]
    features = [vars(feature) for feature in source.features.values()]
    pointed = [
        path
        for feature in features
        for name, path in feature.items()
        if name in ("field", "add", "remove", "snapshot") and path
    ]
    return named | set(matches) | set(pointed) | ({source.item} if source.item else set())


def has(record: Any, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(record, dict) or name not in record:
            return False
        record = record[name]
    return True


def test_every_field_of_the_spec_is_in_some_record(shop: Spec, tmp_path: Path) -> None:
    write_files(Platform(users=100, malformed=0, erasures=0.2), tmp_path, form_for(shop))
    for name, source in shop.sources.items():
        lines = (tmp_path / f"{name}.jsonl").read_bytes().splitlines()
        records = [json.loads(line) for line in lines]
        for field in fields_of(source):
            assert any(has(record, split_path(field)) for record in records), (name, field)


def test_limits_fit_the_faults(shop: Spec) -> None:
    assert shop.limits.record_bytes == Platform().record_bytes
    assert 2 * MOST_DELAY_MS < shop.horizon < LATE_BY_MS


def test_a_spec_that_does_not_fit_is_named(shop: Spec) -> None:
    source = shop.sources["views"]
    arrow = source.model_copy(update={"format": "arrow"})
    with pytest.raises(ValueError, match="clicks: nothing of that name is simulated"):
        form_for(changed(shop, sources={**shop.sources, "clicks": source}))
    with pytest.raises(ValueError, match="format: arrow, json"):
        form_for(changed(shop, sources={**shop.sources, "views": arrow}))
    with pytest.raises(ValueError, match="horizon"):
        form_for(changed(shop, horizon=LATE_BY_MS))
    assert form_for(changed(shop, sources={"views": arrow})) == "arrow"

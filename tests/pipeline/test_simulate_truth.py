"""What was made on purpose is what the rules find: the truth held against the oracle."""

from collections import Counter
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.simulate.fates import ODD, SOURCES
from pipeline.simulate.files import write_files
from pipeline.simulate.platform import Platform
from tests.oracles.oracle import Raw, sequences

SHOP = Path(__file__).parents[2] / "examples" / "shop" / "spec.yaml"
FAULTY = Platform(users=60, days=3, duplicates=0.1, malformed=0.1, odd=0.02, erasures=0.05)

REASONS = {
    "null_user": "missing_user",
    "missing_user": "missing_user",
    "wrong_type": "bad_type",
    "wrong_unit": "bad_time",
    "unknown_action": "unknown_action",
    "cut_short": "malformed",
    "invalid_utf8": "malformed",
    "nan_time": "malformed",
    "too_large": "too_large",
}


def test_the_oracle_finds_what_the_truth_says(tmp_path: Path) -> None:
    truth = write_files(FAULTY, tmp_path).document()
    raw: dict[str, list[Raw]] = {
        name: list((tmp_path / f"{name}.jsonl").read_bytes().splitlines()) for name in SOURCES
    }
    found = sequences(YAML(typ="safe").load(SHOP), raw)
    expected: Counter[str] = Counter()
    for damage, count in truth["malformed"].items():
        expected[REASONS[damage]] += count
    reasons = Counter(reason for *_, reason in found.rejected)
    assert reasons == expected
    assert found.duplicates == truth["copies"] > 0
    assert sum(found.filtered.values()) == truth["filtered"] > 0
    assert found.accepted == sum(truth["records"].values()) - expected.total() - truth["filtered"]
    assert len(found.tombstones) == truth["records"]["erasures"] > 0
    assert set(truth["odd"]) == set(ODD)
    assert found.sequences

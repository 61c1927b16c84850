"""The worked example of docs/semantics.md is what the oracle gives."""

import re
from pathlib import Path

from ruamel.yaml import YAML

from tests.oracles import fields, oracle

_DOCS = Path(__file__).parents[1] / "docs" / "semantics.md"


def _clock(times: str) -> list[int]:
    """Times of the example's day as ms."""
    days = [{"at": f"2024-05-01T{time}Z"} for time in re.findall(r"[0-9:]+", times)]
    return [fields.time(day, "at", "iso8601") for day in days]


def _numbers(cell: str) -> list[int]:
    return [int(number) for number in re.findall(r"-?[0-9]+", cell)]


def test_worked_example() -> None:
    text = _DOCS.read_text(encoding="utf-8").split("## Worked example")[1].split("\n## ")[0]
    spec = YAML(typ="safe").load(re.findall(r"```yaml\n(.*?)```", text, re.S)[0])
    blocks = re.findall(r"`(\w+)`:\n\n```json\n(.*?)```", text, re.S)
    sources = {name: block.encode().splitlines() for name, block in blocks}
    result = oracle.sequences(spec, sources)
    lines = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    table = {name.strip().strip("`"): cells for name, *cells in lines}
    assert not result.rejected
    assert len(result.sequences) == 2
    for at, row in enumerate(result.sequences):
        for name in ("token_type", "token_id"):
            assert row[name] == _numbers(table[name][at])
        assert row["token_time"] == _clock(table["token_time"][at])
        bounds = [row["session_start"], row["session_end"]]
        assert bounds == _clock(table["session_start`, `session_end"][at])
        counts = [row["contents"], row["new_contents"], row["raw_tokens"]]
        cells = table["contents`, `new_contents"][at] + table["raw_tokens"][at]
        assert counts == _numbers(cells)
        creators = re.findall(r"\[(.*?)\]", table["category_creator"][at])
        assert row["category_creator"] == [_numbers(one) for one in creators]

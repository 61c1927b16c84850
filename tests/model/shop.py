"""A folder of made-up sequences to train on, small and with something to learn in it."""

from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from schemas.fingerprint import fingerprint
from schemas.sequences import sequence_schema
from schemas.spec import Spec
from tests.machine import spec_of

WRITTEN: dict[str, Any] = {
    "version": 1,
    "name": "small",
    "sources": {
        "views": {
            "user": "u",
            "time": "t",
            "item": "i",
            "actions": {"field": "k"},
            "categories": {"topic": "c"},
            "features": {"country": {"field": "g"}, "likes": {"add": "a", "remove": "r"}},
        }
    },
    "actions": ["VIEW", "LIKE"],
    "positive": ["LIKE"],
    "features": {"country": "scalar", "likes": "set"},
    "categories": ["topic"],
    "history": {"contents": 64},
}
SPEC: Spec = spec_of(WRITTEN)
CONTENTS = 30
BEGIN = 1_700_000_000_000


def row(user: str, number: int, contents: int) -> dict[str, Any]:
    """Contents follow each other by number, and every third is liked; so both can be learned."""
    random = Random(f"{user} {number}")
    time = BEGIN + 3_600_000 * number + random.randrange(1_000)
    tokens = [(2, 1 + random.randrange(3), time), (3, 1 + random.randrange(5), time)]
    content = random.randrange(CONTENTS)
    ids = []
    for place in range(contents):
        content = (content + 1) % CONTENTS
        ids.append(content + 1)
        at = time + 1_000 * place
        tokens += [(0, content + 1, at), (1, 3 if content % 3 == 0 else 1, at)]
        if random.random() < 0.2:
            tokens.append((3, -1 - random.randrange(5), at))
    kinds, numbers, times = zip(*tokens, strict=True)
    return {
        "user_id": user,
        "sequence_id": xxhash.xxh3_128_hexdigest(f"{user} {number}".encode()),
        "session_start": time,
        "session_end": time + 1_000 * contents,
        "token_type": kinds,
        "token_id": numbers,
        "token_time": times,
        "contents": contents,
        "new_contents": min(3, contents),
        "raw_tokens": len(tokens),
        "spec": fingerprint(SPEC),
        "category_topic": [[1 + each % 4] * (each % 3 > 0) for each in ids],
    }


def rows(users: int = 12, sessions: int = 12) -> pa.RecordBatch:
    """The sequences of some users, one after the other in time."""
    random = Random(7)
    made = [
        row(f"user-{user}", number, 1 + random.randrange(12))
        for number in range(sessions)
        for user in range(users)
    ]
    return pa.RecordBatch.from_pylist(made, sequence_schema(SPEC))


def folder(path: Path, users: int = 12, sessions: int = 12) -> Path:
    """A folder as `phia run` writes it."""
    (path / "sequences").mkdir(parents=True)
    table = pa.Table.from_batches([rows(users, sessions)])
    pq.write_table(table, path / "sequences" / "part-0.parquet")
    return path

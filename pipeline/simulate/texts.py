"""Records as JSON texts, broken ones included."""

import io
import json

import polars as pl

from pipeline.simulate.fates import FATE, FATES, META, TEXT_DAMAGES, Shape, has_fate


def texts(frame: pl.DataFrame, shape: Shape, record_bytes: int) -> list[bytes]:
    """One JSON text a record, without line ends; what is `too_large` exceeds `record_bytes`."""
    buffer = io.BytesIO()
    frame.drop(META).write_ndjson(buffer)
    lines = buffer.getvalue().split(b"\n")
    lines.pop()  # what follows the last line end
    broken = frame.with_row_index("row").filter(has_fate(*TEXT_DAMAGES))
    for row, fate in broken.select("row", FATE).iter_rows():
        lines[row] = _broken(lines[row], FATES[fate], shape, record_bytes)
    return lines


def _broken(line: bytes, damage: str, shape: Shape, record_bytes: int) -> bytes:
    match damage:
        case "cut_short":
            return line[: len(line) // 2]
        case "invalid_utf8":
            return line.replace(b':"', b':"\xff', 1)
        case "too_large":
            return line[:-1] + b',"note":"' + b"x" * record_bytes + b'"}'
    record = json.loads(line)
    match damage:
        case "wrong_type":
            record[shape.user] = {"id": record[shape.user]}
        case "missing_user":
            del record[shape.user]
        case "nan_time":
            record[shape.time] = float("nan")
    return json.dumps(record, separators=(",", ":")).encode()

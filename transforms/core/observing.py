"""S1: accepted records that observe nothing."""

from transforms.core.arrays import Bools, flags, valid
from transforms.core.rows import Rows


def observing(rows: Rows) -> Bools:
    """True for the records that observe anything: an engagement, a feature, an end, an erasure.

    Another record moves the watermark, and may be the copy that stays of several (S3), but is no
    observation: it does not keep a history alive (S15).
    """
    something = flags(rows["end"]) | flags(rows["erase"]) | valid(rows["item"])
    something |= flags(rows["joined"])
    for name in rows.column_names:
        if name.partition(":")[0] in ("scalar", "add", "remove", "snapshot"):
            something |= valid(rows[name])
    return something

"""S11: the identity of a sequence."""

import xxhash

from schemas.ids import canonical_json


def sequence_id(user: str, source: str, event_id: str, time: int) -> str:
    """The id of the sequence whose session begins with this engagement, the same at each replay."""
    name = canonical_json([user, source, event_id, time])
    return xxhash.xxh3_128_hexdigest(name.encode())

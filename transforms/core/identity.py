"""S11: the identity of a sequence."""

from json.encoder import encode_basestring as text

import xxhash


def sequence_id(user: str, source: str, event_id: str, time: int) -> str:
    """The id of the sequence whose session begins with this engagement, the same at each replay."""
    name = f"[{text(user)},{text(source)},{text(event_id)},{time}]"
    return xxhash.xxh3_128_hexdigest(name.encode())

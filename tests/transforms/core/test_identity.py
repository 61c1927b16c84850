"""S11: the identity of a sequence."""

import xxhash

from transforms.core.identity import sequence_id


def test_s11_the_hash_of_a_compact_json_array() -> None:
    name = '["ü\\"","views","7",1700000000000]'
    want = xxhash.xxh3_128_hexdigest(name.encode())
    assert sequence_id('ü"', "views", "7", 1_700_000_000_000) == want


def test_s11_is_the_same_for_ever() -> None:
    assert sequence_id("u", "e", "1", 5) == xxhash.xxh3_128_hexdigest(b'["u","e","1",5]')
    assert sequence_id("u", "e", "1", 5) == FOR_EVER


def test_s11_tells_its_parts_apart() -> None:
    parts = [("u", "e", "1", 5), ("u", "e1", "", 5), ("ue", "", "1", 5), ("u", "e", "15", 5),
             ("u", "e", "1", 6)]  # fmt: skip
    assert len({sequence_id(*part) for part in parts}) == len(parts)


FOR_EVER = "1fec42dc4f76d44ffeaf88e106cf0d80"

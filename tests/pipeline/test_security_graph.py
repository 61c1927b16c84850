"""No secret in what leaves this process: the job graph, its options, its display data, pickles."""

import base64
import binascii
import bz2
import pickle
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from apache_beam.internal import pickler
from apache_beam.runners.portability.portable_runner import JobServiceHandle
from apache_beam.transforms.display import DisplayData

from pipeline.options import Run, run_of
from pipeline.run import built
from pipeline.security_file import security_options
from pipeline.train.options import input_of
from tests.machine import spec_of
from tests.oracles import shop

PASSWORD, KEY_WORD = "open-sesame-7f3a", "melon-friend-20d4"
SECRETS = (PASSWORD, KEY_WORD)
SHOWN = ("kafka.example:9093", "alice-of-wonderland", "client-certificate.pem")
"""What must be in the job graph: the control of the search."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{16,}={0,2}")
_DEEP = 8


def layers(data: bytes, depth: int = 0) -> Iterator[bytes]:
    """The bytes, and whatever lies in them in base64 or compressed, to any practical depth."""
    yield data
    if depth == _DEEP:
        return
    for found in _BASE64.finditer(data):
        yield from (deep for text in decoded(found[0]) for deep in layers(text, depth + 1))
    for sign, unpack in ((b"BZh", bz2.BZ2Decompressor), (b"\x78", zlib.decompressobj)):
        for place in re.finditer(re.escape(sign), data):
            try:
                inner = unpack().decompress(data[place.start() :])
            except (OSError, ValueError, zlib.error, EOFError):
                continue
            if len(inner) > 16:
                yield from layers(inner, depth + 1)


def decoded(text: bytes) -> Iterator[bytes]:
    """What a run of letters is in base64, if it is; only what holds something packed or legible."""
    plain = text.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        yield base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True)
    except binascii.Error:
        return


def holds(data: bytes, word: str) -> bool:
    return any(word.encode() in layer for layer in layers(data))


@pytest.fixture(params=["env", "file", "kafka-file"])
def given(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[str], Path]:
    """--kafka and --kafka-file for mutual TLS with a user, secrets by each kind of reference."""
    for name in ("client-certificate.pem", "ca.pem"):
        (tmp_path / name).touch()
    lines = [
        "security_protocol=SASL_SSL",
        "sasl_mechanism=PLAIN",
        "sasl_plain_username=alice-of-wonderland",
        f"ssl_cafile={tmp_path / 'ca.pem'}",
        f"ssl_certfile={tmp_path / 'client-certificate.pem'}",
    ]
    beside = []
    for name, word in (("sasl_plain_password", PASSWORD), ("ssl_password", KEY_WORD)):
        if request.param == "env":
            monkeypatch.setenv(f"PHIA_{name}", word)
            beside.append(f"{name}=env:PHIA_{name}")
        elif request.param == "file":
            (tmp_path / name).write_text(word)
            beside.append(f"{name}=file:{tmp_path / name}")
        else:
            lines.append(f"{name}={word}")
    file = tmp_path / "kafka.properties"
    file.write_text("\n".join(lines))
    return beside, file


@pytest.fixture(params=["bounded", "unbounded"])
def asked(request: pytest.FixtureRequest, given: tuple[list[str], Path]) -> Run:
    """A run from Kafka to Kafka and a folder."""
    bounded = request.param == "bounded"
    return run_of(
        spec_of(shop.spec_of()),
        f"kafka://{SHOWN[0]}",
        [f"kafka://{SHOWN[0]}/sequences", "out"],
        "latest" if bounded else None,
        "earliest",
        None,
        security_options(*given),
        [] if bounded else ["--runner=FlinkRunner", "--streaming"],
        group="lag",
    )


def test_the_job_graph_holds_no_secret(asked: Run) -> None:
    graph = built(asked).to_runner_api()
    found = list(layers(graph.SerializeToString()))
    text = b"\0".join(found)
    for word in SHOWN:
        assert word.encode() in text
    assert SHOWN[1].encode() not in found[0]  # the control lies deep, and the search gets there
    for secret in SECRETS:
        assert secret.encode() not in text


def test_options_and_display_data_hold_no_secret(asked: Run) -> None:
    options = asked.beam.get_all_options(retain_unknown_options=True)
    shown = [
        repr(asked),
        repr(options),
        str(asked.beam),
        str(JobServiceHandle.encode_pipeline_options(options)),
        str(DisplayData.create_from(asked.beam).to_proto()),
    ]
    assert "runner" in shown[1]
    assert "runner" in shown[3]
    assert not [text for text in shown for secret in SECRETS if secret in text]


def test_pickles_hold_no_secret(asked: Run, given: tuple[list[str], Path]) -> None:
    url = f"kafka://{SHOWN[0]}/sequences"
    trained = input_of(url, None, skip_lost=False, security=security_options(*given))
    for what in (asked.kafka_in, asked.topic_out, trained):
        for data in (pickle.dumps(what), pickler.dumps(what), repr(what).encode()):
            assert holds(data, SHOWN[0])
            assert not any(holds(data, secret) for secret in SECRETS)


def test_the_search_finds_what_is_packed_as_beam_packs_it() -> None:
    packed = base64.b64encode(bz2.compress(pickle.dumps({"a": PASSWORD})))
    again = b"\x0a\xff" + zlib.compress(b"\x01" + packed + b"\x02") + b"\x12"
    assert holds(again, PASSWORD)
    assert holds(b"\x00" + base64.urlsafe_b64encode(again) + b"\x00", PASSWORD)
    assert not holds(again, KEY_WORD)

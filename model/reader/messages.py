"""What the messages of a sequence topic say: rows, or a tombstone."""

from typing import Any

from model.reader.merged import Message
from model.reader.rows import Checking, Rows
from model.reader.seen import user_of
from schemas.codec import CodecError, decode_batch
from schemas.failures import Failure
from schemas.sequences import VERSION


def rows_of(message: Message, checking: Checking, where: str) -> Rows:
    """The rows of a message. Raises Failure where they are damaged, or of another spec."""
    headers = _headers(message)
    spec, version = headers.get("phia-spec"), headers.get("phia-schema")
    if spec is None or version is None:
        raise Failure(f"{where}: has no headers phia-spec and phia-schema; is it a sequence topic?")
    if version != VERSION:
        raise Failure(f"{where}: has columns of version {version}; version {VERSION} is read")
    checking.check_spec([spec], where)
    try:
        batch = decode_batch(message.value or b"", checking.schema)
    except CodecError as error:
        raise Failure(f"{where}: {error}") from error
    return Rows.of(checking.checked(batch, where))


def erasure_of(message: Message, where: str) -> tuple[int, int]:
    """The hash of a tombstone's user, and up to when his sequences are void (ms)."""
    time = _headers(message).get("phia-time", "")
    if message.key is None or not time.removeprefix("-").isdecimal():
        raise Failure(f"{where}: a tombstone has a user for a key, and a header phia-time in ms")
    return user_of(message.key.decode(errors="replace")), int(time)


def _headers(message: Message) -> dict[str, Any]:
    return {name: (value or b"").decode(errors="replace") for name, value in message.headers or ()}

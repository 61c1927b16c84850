"""Why a record is rejected: the closed list of reasons, each with what it means."""

from enum import StrEnum


class Reason(StrEnum):
    """The reason of a rejected record, as the output names it."""

    MALFORMED = "malformed"  # the bytes are not of the source's format
    NOT_A_RECORD = "not_a_record"  # JSON, but not an object
    TOO_LARGE = "too_large"  # more bytes than limits.record_bytes
    MISSING_USER = "missing_user"  # null, absent or empty
    MISSING_TIME = "missing_time"  # null or absent
    BAD_TIME = "bad_time"  # not a number or date, or outside 1990 to 2200
    AHEAD_OF_CLOCK = "ahead_of_clock"  # ahead of its Kafka timestamp by more than the skew
    BAD_TYPE = "bad_type"  # a field of a type that its use does not allow
    UNKNOWN_ACTION = "unknown_action"  # an action that the spec does not list
    LOST = "lost"  # no record: offsets that Kafka deleted before they were read


LATE = "behind_watermark"
"""The reason of a late record: its time was released when it came (S3)."""


class Rejected(Exception):
    """A record that is rejected, with its reason, what exactly is wrong, and its event time."""

    def __init__(self, reason: Reason, detail: str, event_time: int | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.event_time = event_time

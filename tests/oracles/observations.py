"""S1, S2: what a raw record yields, and the place of it in a user's order."""

from dataclasses import dataclass, field

FEATURE, ENGAGEMENT, END, ERASURE = range(4)


@dataclass(frozen=True, order=True)
class Place:
    """S2: the sort key of an observation within its user."""

    time: int
    rank: int  # FEATURE, ENGAGEMENT, END or ERASURE
    feature: int  # position in the spec; 0 where it is no feature
    event_id: bytes
    source: bytes


@dataclass(frozen=True)
class Engagement:
    """One item engaged with: its id, the mask of its actions, its categories by name."""

    item: int
    actions: int
    categories: dict[str, list[int]]


@dataclass(frozen=True)
class Scalar:
    """One value of a scalar feature, by its id."""

    value: int


@dataclass(frozen=True)
class Named:
    """Members of a set-valued feature as a record names them; `snapshot` tells of all members."""

    added: list[int]
    removed: list[int]
    snapshot: bool


@dataclass(frozen=True)
class Mark:
    """An end mark or an erasure: its place says all."""


@dataclass(frozen=True)
class Observation:
    """One observation and its place."""

    place: Place
    event_id: str
    source: str
    what: Engagement | Scalar | Named | Mark


@dataclass(frozen=True)
class Mapped:
    """An accepted record: its identity (S3), its canonical content and what it yields."""

    user: str
    time: int
    event_id: str
    source: str
    content: str
    observations: list[Observation]
    texts: set[tuple[str, int, str]] = field(default_factory=set)  # of the dictionary
    dropped: list[str] = field(default_factory=list)  # numerical fields that it held

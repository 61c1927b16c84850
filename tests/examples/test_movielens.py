"""MovieLens-1M: users held against the oracle; every history against the file, rating by rating."""

from collections import Counter
from random import Random

import polars as pl
import pytest

from tests.examples.example import Example, Record, csv_records, ran

PUBLISHED = "ml-1m/ratings_u1-2999.dat.xz"
USERS = 600


@pytest.fixture(scope="module")
def movielens(tmp_path_factory: pytest.TempPathFactory) -> Example:
    folder = tmp_path_factory.mktemp("movielens")
    return ran("movielens", PUBLISHED, folder, "--users", str(USERS))


@pytest.fixture(scope="module")
def ratings(movielens: Example) -> list[Record]:
    return pl.read_parquet(movielens.input / "ratings.parquet").to_dicts()


@pytest.fixture(scope="module")
def people(movielens: Example) -> list[Record]:
    return csv_records(movielens.input / "users.csv")


def test_sequences_of_busy_tied_and_other_users_are_the_oracles(
    movielens: Example, ratings: list[Record], people: list[Record]
) -> None:
    busy = Counter(record["user"] for record in ratings)
    seconds = Counter((record["user"], record["timestamp"]) for record in ratings)
    fullest = [user for (user, _), _ in seconds.most_common(10)]
    picked = [busy.most_common(1)[0][0], *fullest, *Random(7).sample(sorted(busy), 30)]
    users = [*dict.fromkeys(str(user) for user in picked)]
    sources = {
        "ratings": [record for record in ratings if str(record["user"]) in users],
        "users": [record for record in people if record["user"] in users],
    }
    assert movielens.differences(users, sources) == []


def test_no_record_is_lost(movielens: Example, ratings: list[Record], people: list[Record]) -> None:
    sums = movielens.totals
    assert len(people) == USERS
    assert sums["records", "ratings", None, None] == len(ratings)
    assert sums["records", "users", None, None] == len(people)
    assert sums["tokens_raw", None, "contents", None] == 2 * len(ratings)
    for feature in ("gender", "age", "occupation"):
        assert sums["tokens_kept", None, feature, None] == len(people)
    assert movielens.rows("rejected") == movielens.rows("late") == []


def test_the_newest_sequence_is_the_file_in_order_of_time(
    movielens: Example, ratings: list[Record]
) -> None:
    """Ties, every second rating, stand as in the file, as in the orders others have published."""
    order = sorted(ratings, key=lambda record: record["timestamp"])
    want: dict[str, list[tuple[int, int]]] = {}
    for record in order:
        rated = (record["movie"], 1 << (int(record["rating"]) - 1))
        want.setdefault(str(record["user"]), []).append(rated)
    got = {}
    for row in movielens.newest():
        assert row["token_type"] == [2, 3, 4, *[0, 1] * row["contents"]]
        tokens = row["token_id"][3:]
        got[row["user_id"]] = [*zip(tokens[::2], tokens[1::2], strict=True)]
    assert got == want


def test_genres_read_back_are_the_movies(movielens: Example, ratings: list[Record]) -> None:
    names = {
        row["id"]: row["text"]
        for row in movielens.rows("dictionary")
        if row["kind"] == "category:genres"
    }
    genres = {record["movie"]: record["genres"] for record in ratings}
    for row in movielens.newest():
        movies = row["token_id"][3::2]
        read_back = [[names[one] for one in ids] for ids in row["category_genres"]]
        assert read_back == [genres[movie] for movie in movies]

"""Sequences as readable tables, one row a token, and back."""

from itertools import pairwise

import polars as pl

from schemas.sequences import ACTION, CONTENT, FIRST_FEATURE
from schemas.sources import ScalarField
from schemas.spec import Spec

TOKENS = ("token_type", "token_id", "token_time")


def names_of(dictionary: pl.DataFrame) -> pl.DataFrame:
    """The texts of hashed ids, each once: kind, id, text."""
    return dictionary.select("kind", "id", "text").unique()


def as_table(sequences: pl.DataFrame, spec: Spec, dictionary: pl.DataFrame) -> pl.DataFrame:
    """The tokens of sequences, one row each, in order.

    `row` is the sequence's place in the table and `place` the token's in the sequence; `what` is
    `content`, `actions` or the name of a feature; `text` is the id as a person knows it: the name
    of an item, value or member (`- NAME`: removed), the actions joined by +, the range of a bin;
    null where the value is. Contents have their categories, by name. All other columns are those
    of the sequence, repeated.
    """
    categories = [f"category_{name}" for name in spec.categories]
    numbered = sequences.with_row_index("row")
    contents = _contents(numbered, categories)
    tokens = (
        numbered.drop(categories)
        .explode(*TOKENS)
        .with_columns(
            pl.int_range(pl.len()).over("row").alias("place"),
            (pl.col("token_type") == CONTENT).cum_sum().over("row").alias("content"),
        )
    )
    tokens = tokens.join(
        contents.with_columns(pl.lit(CONTENT, pl.Int16).alias("token_type")),
        on=["row", "content", "token_type"],
        how="left",
        maintain_order="left",
    )
    named = tokens.with_columns(_what(spec)).join(
        _texts(tokens, spec, names_of(dictionary)),
        on=["token_type", "token_id"],
        how="left",
        maintain_order="left",
    )
    first = ["row", "user_id", "sequence_id", "place", "token_time", "what", "text"]
    return named.select(*first, pl.exclude(*first, "content"))


def as_sequences(table: pl.DataFrame, spec: Spec) -> pl.DataFrame:
    """The inverse of `as_table`: the sequences that tokens, in their order, are of."""
    categories = [f"category_{name}" for name in spec.categories]
    made = {"row", "place", "what", "text", *TOKENS, *categories}
    whole = table.group_by("row", maintain_order=True).agg(
        *(pl.col(name).first() for name in table.columns if name not in made),
        *TOKENS,
        *(pl.col(name).filter(pl.col("token_type") == CONTENT) for name in categories),
    )
    first = ["user_id", "sequence_id", "session_start", "session_end", *TOKENS]
    return whole.select(*first, pl.exclude(*first, "row"))


def _contents(numbered: pl.DataFrame, categories: list[str]) -> pl.DataFrame:
    """Row, number of the content from 1, and its categories."""
    if not categories:
        return pl.DataFrame(schema={"row": pl.UInt32, "content": pl.UInt32})
    each = numbered.select("row", *categories).explode(*categories)
    return each.with_columns(
        (pl.int_range(pl.len()).over("row") + 1).alias("content").cast(pl.UInt32)
    )


def _what(spec: Spec) -> pl.Expr:
    kinds = {CONTENT: "content", ACTION: "actions"}
    kinds |= dict(enumerate(spec.features, FIRST_FEATURE))
    return pl.col("token_type").replace_strict(kinds, return_dtype=pl.String).alias("what")


def _texts(tokens: pl.DataFrame, spec: Spec, names: pl.DataFrame) -> pl.DataFrame:
    """The text of each type and id that there is."""
    kinds = {CONTENT: "item", ACTION: ""}
    kinds |= {k: f"feature:{name}" for k, name in enumerate(spec.features, FIRST_FEATURE)}
    known = (
        tokens.select("token_type", "token_id")
        .unique()
        .with_columns(
            pl.col("token_type").replace_strict(kinds, return_dtype=pl.String).alias("kind"),
            pl.col("token_id").abs().alias("id"),
        )
    )
    joined = known.join(names, on=["kind", "id"], how="left")
    texts = [
        _text(spec, *row) for row in joined.select("token_type", "token_id", "text").iter_rows()
    ]
    return joined.select("token_type", "token_id", pl.Series("text", texts, pl.String))


def _text(spec: Spec, kind: int, number: int, text: str | None) -> str | None:
    if kind == ACTION:
        return "+".join(name for bit, name in enumerate(spec.actions) if number >> bit & 1)
    name = None if kind == CONTENT else list(spec.features)[kind - FIRST_FEATURE]
    if name is not None and spec.features[name].kind == "scalar" and number == 0:
        return None
    ranges = [] if name is None else _ranges(spec, name)
    if 0 < number <= len(ranges):
        return ranges[number - 1]
    shown = str(abs(number)) if text is None else text
    return f"- {shown}" if number < 0 else shown


def _ranges(spec: Spec, feature: str) -> list[str]:
    """What lies in the bins of a feature, of the first source that has any."""
    fields = [source.features.get(feature) for source in spec.sources.values()]
    edges = next((f.bins for f in fields if isinstance(f, ScalarField) and f.bins), ())
    if not edges:
        return []
    between = [f"{low:g} to {high:g}" for low, high in pairwise(edges)]
    return [f"under {edges[0]:g}", *between, f"{edges[-1]:g} or more"]

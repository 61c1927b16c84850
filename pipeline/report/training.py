"""What training costs: sequences by their lengths, and each c of the 1/n sampling."""

from pipeline.report.sessions import capped
from pipeline.report.sums import Sums
from pipeline.report.tables import Column, Figure, Section, Table
from schemas.spec import Spec


def training(sums: Sums, spec: Spec) -> Section:
    """The section on what training costs."""
    raw, cost = sums.total("sequence_raw_cost"), sums.total("sequence_cost")
    answer = f"Attention over all {sums.total('sequences'):,.0f} sequences costs {cost:,.0f} pairs "
    answer += "of tokens" + (f", {raw / cost:,.1f} times less than raw. " if cost else ". ")
    if spec.sampling:
        answer += f"They were drawn with c = {spec.sampling.tokens:,}; curves hold up to there."
    figures = [
        Figure("Cost at each c", "What is trained in expectation where a sequence of n tokens is "
               "taken with probability min(1, c/n), as a share of taking all: of the cost Σ n², "
               "and of the tokens.", at(sums), "lines", ("Cost share", "Token share")),
        Figure("Cost at each c, uncompressed", "The same for sequences as they would be without "
               "compression, as a share of the compressed cost without sampling.",
               at_raw(sums), "lines", ("Times the cost",)),
        Figure("Sequences by length", "Sequences by how many tokens they have, at most, and the "
               "cost in them.", by_length(sums), "columns", ("Sequences",)),
        Figure("Where the cost is", "The share of the cost that is in sequences of up to so many "
               "tokens.", by_length(sums), "lines", ("Cost up to here",)),
        Figure("Sequences over time", "Tokens of the sequences of each window, histories "
               "included, and what they would be uncompressed.", over_time(sums), "lines",
               ("Raw tokens", "Tokens")),
    ]  # fmt: skip
    return Section("training", "What does training cost?", answer, figures)


def at(sums: Sums) -> Table:
    """For each c, the cost and the tokens of what is trained, and their shares of all."""
    numbers, tokens = sums.buckets("sequence_length"), sums.buckets("sequence_length_tokens")
    costs = sums.buckets("sequence_length_cost")
    all_costs, all_tokens = sum(v for _, v in costs), sum(v for _, v in tokens)
    rows = []
    for c, _ in numbers:
        cost, read = capped(costs, tokens, c), capped(tokens, numbers, c)
        rows.append((c, cost, cost / all_costs, read, read / all_tokens))
    heads = [Column("c"), Column("Cost"), Column("Cost share", "share"), Column("Tokens")]
    return Table([*heads, Column("Token share", "share")], rows)


def at_raw(sums: Sums) -> Table:
    """For each c the cost of uncompressed sequences, and how many times the compressed cost."""
    tokens, costs = (sums.buckets(f"sequence_raw_length_{what}") for what in ("tokens", "cost"))
    whole = sums.total("sequence_cost")
    rows = []
    for c, _ in costs:
        cost = capped(costs, tokens, c)
        rows.append((c, cost, cost / whole if whole else None))
    return Table([Column("c"), Column("Raw cost"), Column("Times the cost", "times")], rows)


def by_length(sums: Sums) -> Table:
    """Sequences by length, with their cost, and the share of cost up to each."""
    costs = dict(sums.buckets("sequence_length_cost"))
    whole, seen, rows = sum(costs.values()), 0.0, []
    for end, number in sums.buckets("sequence_length"):
        seen += costs.get(end, 0.0)
        rows.append((end, number, costs.get(end, 0.0), seen / whole if whole else None))
    heads = [Column("Tokens"), Column("Sequences"), Column("Cost")]
    return Table([*heads, Column("Cost up to here", "share")], rows)


def over_time(sums: Sums) -> Table:
    """Sequences, their tokens and raw tokens by window."""
    raw, kept = (
        dict(sums.by_window(m).iter_rows()) for m in ("sequence_raw_tokens", "sequence_tokens")
    )
    heads = [Column("From", "day"), Column("Sequences"), Column("Raw tokens"), Column("Tokens")]
    return Table(
        heads,
        [
            (when, number, raw.get(when, 0), kept.get(when, 0))
            for when, number in sums.by_window("sequences").iter_rows()
        ],
    )

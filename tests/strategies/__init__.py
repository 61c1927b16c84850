"""Hypothesis strategies: small feature specs and raw records in which much happens."""

from tests.strategies.cases import Case, as_jsonl, cases, damaged_lines, long_cases

__all__ = ["Case", "as_jsonl", "cases", "damaged_lines", "long_cases"]

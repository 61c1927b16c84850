"""Faults on real processes: a live stream is disturbed, and what came out is held against a
bounded run of the same topics."""

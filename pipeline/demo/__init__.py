"""The demo: the whole way from a broker to sequences, and what came out for a person to read."""

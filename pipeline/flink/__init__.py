"""A real Flink on this machine, from Python packages and Maven jars alone, for development."""

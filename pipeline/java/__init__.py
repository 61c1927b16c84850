"""Java programs as child processes, with what they are made of fetched from Python packages."""

"""Readers of event files: from a folder, or from a message, to batches of raw records."""

from pipeline.files.find import find_files
from pipeline.files.read import read_file, read_message

__all__ = ["find_files", "read_file", "read_message"]

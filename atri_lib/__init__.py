"""Multilingual audio-text retrieval with consistent ranks: the library behind the book."""

__version__ = "0.1.0"

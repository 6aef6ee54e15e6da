"""Corpora to `datasets`: one file per corpus, and the joining of recordings into sequences."""
